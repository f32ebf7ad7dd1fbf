// SPDX-License-Identifier: Apache-2.0
// /berth/containers/{id}/ports, of Berth's own: ports of a container that may run
// (docs/api-extensions.md).
#include "api/context.h"
#include "api/route.h"
#include "api/wire/container.h"
#include "engine/container_config_json.h"

#include <array>
#include <string>

namespace berth::api {

namespace {

Result<void> publish_port(Context& context) {
    const auto document = TRY(context.json_body()).value_or(json::Value(json::Object{}));
    engine::HostConfig asked;
    auto decoded = json::decode_into(asked, document);
    if (!decoded.ok()) {
        return std::move(decoded).error().with_context("invalid JSON");
    }
    const auto published =
        TRY(context.engine().containers().publish(context.parameter(), asked.port_bindings));
    return context.reply(200, json::Object{{"Ports", wire::encode_ports(published)}});
}

// By query, since not everything between a client and the engine lets a DELETE have a body.
Result<void> withdraw_port(Context& context) {
    const std::string port = context.query("port");
    if (port.empty()) {
        return invalid_argument("the query parameter port is missing: port=80/tcp");
    }
    TRY(context.engine().containers().withdraw(
        context.parameter(),
        {{port, {{.host_ip = context.query("hostip"), .host_port = context.query("hostport")}}}}));
    return context.reply_empty(204);
}

} // namespace

std::span<const Route> container_port_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"POST", "/berth/containers/{id}/ports", publish_port},
        {"DELETE", "/berth/containers/{id}/ports", withdraw_port},
    });
    return routes;
}

} // namespace berth::api
