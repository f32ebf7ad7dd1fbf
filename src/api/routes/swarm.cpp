// SPDX-License-Identifier: Apache-2.0
// /swarm, /nodes, /services, /tasks, /secrets, /configs: this engine is no member of a swarm, and
// says so in Docker's words.
#include "api/context.h"
#include "api/route.h"

#include <array>

namespace berth::api {

namespace {

Result<void> no_manager(Context&) {
    return Error(
        ErrorKind::Unavailable,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to "
        "connect this node to swarm and try again.");
}

Result<void> not_in_swarm(Context&) {
    return Error(ErrorKind::Unavailable, "This node is not part of a swarm");
}

Result<void> no_swarm(Context&) {
    return not_implemented("swarm mode is not implemented");
}

} // namespace

std::span<const Route> swarm_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/swarm", no_manager},
        {"POST", "/swarm/init", no_swarm},
        {"POST", "/swarm/join", no_swarm},
        {"POST", "/swarm/leave", not_in_swarm},
        {"POST", "/swarm/update", no_manager},
        {"GET", "/swarm/unlockkey", no_manager},
        {"POST", "/swarm/unlock", no_manager},
        {"GET", "/nodes", no_manager},
        {"GET", "/nodes/{id}", no_manager},
        {"DELETE", "/nodes/{id}", no_manager},
        {"POST", "/nodes/{id}/update", no_manager},
        {"GET", "/services", no_manager},
        {"POST", "/services/create", no_manager},
        {"GET", "/services/{id}", no_manager},
        {"DELETE", "/services/{id}", no_manager},
        {"POST", "/services/{id}/update", no_manager},
        {"GET", "/services/{id}/logs", no_manager},
        {"GET", "/tasks", no_manager},
        {"GET", "/tasks/{id}", no_manager},
        {"GET", "/tasks/{id}/logs", no_manager},
        {"GET", "/secrets", no_manager},
        {"POST", "/secrets/create", no_manager},
        {"GET", "/secrets/{id}", no_manager},
        {"DELETE", "/secrets/{id}", no_manager},
        {"POST", "/secrets/{id}/update", no_manager},
        {"GET", "/configs", no_manager},
        {"POST", "/configs/create", no_manager},
        {"GET", "/configs/{id}", no_manager},
        {"DELETE", "/configs/{id}", no_manager},
        {"POST", "/configs/{id}/update", no_manager},
    });
    return routes;
}

} // namespace berth::api
