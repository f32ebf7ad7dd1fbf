// SPDX-License-Identifier: Apache-2.0
// /networks.
#include "api/context.h"
#include "api/route.h"
#include "api/wire/network.h"

#include <array>

namespace berth::api {

namespace {

Result<void> list(Context& context) {
    const auto filters = TRY(context.filters());
    json::Array array;
    for (auto& network : TRY(context.engine().networks().list(filters))) {
        // A list does not name the containers; only inspect does.
        network.containers.clear();
        array.push_back(wire::encode_network(network, context.version()));
    }
    return context.reply(200, array);
}

Result<void> inspect(Context& context) {
    const auto network = TRY(context.engine().networks().inspect(context.parameter()));
    if (const std::string scope = context.query("scope");
        !scope.empty() && scope != network.scope) {
        return not_found("network " + context.parameter() + " not found");
    }
    return context.reply(200, wire::encode_network(network, context.version()));
}

Result<void> create(Context& context) {
    const auto request = TRY(context.decode_body<engine::NetworkCreate>());
    const std::string id = TRY(context.engine().networks().create(request));
    return context.reply(201, json::Object{{"Id", id}, {"Warning", ""}});
}

Result<void> remove(Context& context) {
    TRY(context.engine().networks().remove(context.parameter()));
    return context.reply_empty(204);
}

Result<void> connect(Context& context) {
    const auto body = TRY(context.decode_body<wire::ConnectBody>());
    TRY(context.engine().networks().connect(
        context.parameter(), body.container, body.endpoint_config));
    return context.reply_empty(200);
}

Result<void> disconnect(Context& context) {
    const auto body = TRY(context.decode_body<wire::DisconnectBody>());
    TRY(context.engine().networks().disconnect(context.parameter(), body.container, body.force));
    return context.reply_empty(200);
}

Result<void> prune(Context& context) {
    const auto filters = TRY(context.filters());
    const auto report = TRY(context.engine().networks().prune(filters));
    json::Value deleted(nullptr);
    if (!report.deleted.empty()) {
        deleted = json::encode(report.deleted);
    }
    return context.reply(200, json::Object{{"NetworksDeleted", std::move(deleted)}});
}

constexpr auto routes = std::to_array<Route>({
    {"GET", "/networks", list},
    {"GET", "/networks/", list},
    {"POST", "/networks/create", create},
    {"POST", "/networks/prune", prune},
    {"POST", "/networks/{id}/connect", connect},
    {"POST", "/networks/{id}/disconnect", disconnect},
    {"GET", "/networks/{id}", inspect},
    {"DELETE", "/networks/{id}", remove},
});

} // namespace

std::span<const Route> network_routes() {
    return routes;
}

} // namespace berth::api
