// SPDX-License-Identifier: Apache-2.0
// /networks.
#include "api/context.h"
#include "api/route.h"
#include "api/wire/network.h"
#include "api/wire/network_status.h"

#include <array>

namespace berth::api {

namespace {

Result<void> list_networks(Context& context) {
    const auto filters = TRY(context.filters());
    json::Array array;
    for (const auto& network : TRY(context.engine().networks().list(filters))) {
        if (context.before(28)) {
            const auto whole = context.engine().networks().inspect(network.id);
            array.push_back(wire::encode_network(whole.ok() ? *whole : network, context.version()));
            continue;
        }
        // Since 1.28 a list does not name the containers, since 1.52 not their member either.
        json::Value encoded = wire::encode_network(network, context.version());
        if (!context.before(52)) {
            encoded.as_object().erase("Containers");
        }
        array.push_back(std::move(encoded));
    }
    return context.reply(200, array);
}

// strconv.ParseBool, where dockerd does not take anything for true.
Result<void> check_verbose(const Context& context) {
    const std::string text = context.query("verbose");
    for (const char* word :
         {"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}) {
        if (text == word) {
            return ok();
        }
    }
    return invalid_argument(
        "invalid value for verbose: " + text + ": strconv.ParseBool: parsing \"" + text +
        "\": invalid syntax");
}

Result<void> inspect_network(Context& context) {
    TRY(check_verbose(context));
    const auto network = TRY(context.engine().networks().inspect(context.parameter()));
    if (const std::string scope = context.query("scope");
        !scope.empty() && scope != network.scope) {
        return not_found("network " + context.parameter() + " not found");
    }
    json::Value encoded = wire::encode_network(network, context.version());
    if (!context.before(52)) {
        encoded.as_object()["Status"] = wire::encode_network_status(network);
    }
    return context.reply(200, encoded);
}

Result<void> create_network(Context& context) {
    auto request = TRY(context.decode_body<engine::NetworkCreate>());
    if (context.before(48)) {
        request.enable_ipv4.reset();
    }
    const std::string id = TRY(context.engine().networks().create(request));
    return context.reply(201, json::Object{{"Id", id}, {"Warning", ""}});
}

Result<void> remove_network(Context& context) {
    TRY(context.engine().networks().remove(context.parameter()));
    return context.reply_empty(204);
}

Result<void> connect_container(Context& context) {
    const auto body = TRY(context.decode_body<wire::ConnectBody>());
    TRY(context.engine().networks().connect(
        context.parameter(), body.container, body.endpoint_config));
    return context.reply_empty(200);
}

Result<void> disconnect_container(Context& context) {
    const auto body = TRY(context.decode_body<wire::DisconnectBody>());
    TRY(context.engine().networks().disconnect(context.parameter(), body.container, body.force));
    return context.reply_empty(200);
}

Result<void> prune_networks(Context& context) {
    const auto filters = TRY(context.filters());
    const auto report = TRY(context.engine().networks().prune(filters));
    json::Value deleted(nullptr);
    if (!report.deleted.empty()) {
        deleted = json::encode(report.deleted);
    }
    return context.reply(200, json::Object{{"NetworksDeleted", std::move(deleted)}});
}

} // namespace

std::span<const Route> network_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/networks", list_networks},
        {"GET", "/networks/", list_networks},
        {"POST", "/networks/create", create_network},
        {"POST", "/networks/prune", prune_networks},
        {"POST", "/networks/{id...}/connect", connect_container},
        {"POST", "/networks/{id...}/disconnect", disconnect_container},
        {"GET", "/networks/{id...}", inspect_network},
        {"DELETE", "/networks/{id...}", remove_network},
    });
    return routes;
}

} // namespace berth::api
