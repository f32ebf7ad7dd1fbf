// SPDX-License-Identifier: Apache-2.0
// /session and /grpc: connections that change to HTTP/2, on which a client answers our calls, or we
// answer the client's. Each keeps its request's thread until it ends.
// https://github.com/moby/moby/blob/v28.5.2/api/server/router/session/session_routes.go
#include "api/buildkit.h"
#include "api/buildkit_server.h"
#include "api/context.h"
#include "api/hijack.h"
#include "api/route.h"
#include "base/log.h"

#include <array>

namespace berth::api {

namespace {

Result<void> check_upgrade(const Context& context) {
    const std::string_view protocol = context.request().upgrade_protocol();
    if (protocol.empty()) {
        return invalid_argument("no upgrade proto in request");
    }
    if (protocol != "h2c") {
        return invalid_argument("protocol " + std::string(protocol) + " not supported");
    }
    return ok();
}

Result<void> open_session(Context& context) {
    const http::Headers& headers = context.request().headers;
    build::SessionInfo info;
    info.id = headers.get("X-Docker-Expose-Session-Uuid");
    info.name = headers.get("X-Docker-Expose-Session-Name");
    for (const std::string_view method : headers.get_all("X-Docker-Expose-Session-Grpc-Method")) {
        info.methods.emplace_back(method);
    }
    build::ClientSessions& sessions = context.buildkit().sessions();
    TRY(check_upgrade(context));
    const auto reservation = sessions.reserve(info);
    if (!reservation.ok()) {
        // dockerd's status for whatever is wrong with a session.
        return reservation.error().kind() == ErrorKind::Conflict
                   ? invalid_argument(reservation.error().message())
                   : reservation.error();
    }
    auto* transport = TRY(context.buildkit().transport());
    UniqueFd socket = TRY(hijack_for_http2(context));
    auto served = sessions.serve(context.stop(), info, *transport, std::move(socket));
    if (!served.ok()) {
        log::debug("session broke off", {{"error", served.error().message()}});
    }
    return ok();
}

Result<void> serve_grpc(Context& context) {
    TRY(check_upgrade(context));
    BuildKitServer* server = TRY(context.buildkit().server());
    UniqueFd socket = TRY(hijack_for_http2(context));
    auto served = server->serve(context.stop(), std::move(socket));
    if (!served.ok()) {
        log::debug("gRPC connection broke off", {{"error", served.error().message()}});
    }
    return ok();
}

} // namespace

std::span<const Route> session_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"POST", "/session", open_session},
        {"POST", "/grpc", serve_grpc},
    });
    return routes;
}

} // namespace berth::api
