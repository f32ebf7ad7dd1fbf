// SPDX-License-Identifier: Apache-2.0
// /plugins: there are none.
#include "api/context.h"
#include "api/route.h"

#include <array>

namespace berth::api {

namespace {

Result<void> list_plugins(Context& context) {
    return context.reply(200, json::Array{});
}

Result<void> no_such_plugin(Context& context) {
    return not_found("plugin \"" + context.parameter() + "\" not found");
}

Result<void> no_plugins(Context&) {
    return not_implemented("plugins are not implemented");
}

} // namespace

std::span<const Route> plugin_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/plugins", list_plugins},
        {"GET", "/plugins/privileges", no_plugins},
        {"POST", "/plugins/pull", no_plugins},
        {"POST", "/plugins/create", no_plugins},
        {"GET", "/plugins/{name...}/json", no_such_plugin},
        {"POST", "/plugins/{name...}/enable", no_such_plugin},
        {"POST", "/plugins/{name...}/disable", no_such_plugin},
        {"POST", "/plugins/{name...}/upgrade", no_such_plugin},
        {"POST", "/plugins/{name...}/push", no_such_plugin},
        {"POST", "/plugins/{name...}/set", no_such_plugin},
        {"DELETE", "/plugins/{name...}", no_such_plugin},
    });
    return routes;
}

} // namespace berth::api
