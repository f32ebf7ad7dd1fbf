// SPDX-License-Identifier: Apache-2.0
// A route: method, path pattern, handler. Each file of routes/ has one table of them.
#pragma once

#include "base/result.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace berth::api {

class Context;

// Answers the request through the context; an error returned before anything was sent becomes the
// answer.
using RouteHandler = Result<void> (*)(Context&);

struct Route {
    std::string_view method;
    // "/containers/{id}/json". "{name...}" takes one or more segments, for image names with
    // slashes; a pattern has one parameter at most.
    std::string_view pattern;
    RouteHandler handler;
};

// The parameter's value ("" for a pattern without one), or nullopt when the path does not match.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path);

// The families, in routes/*.cpp.
std::span<const Route> system_routes();
std::span<const Route> disk_usage_routes();
std::span<const Route> container_routes();
std::span<const Route> container_port_routes();
std::span<const Route> container_stream_routes();
std::span<const Route> container_copy_routes();
std::span<const Route> exec_routes();
std::span<const Route> image_routes();
std::span<const Route> image_transfer_routes();
std::span<const Route> artifact_routes();
std::span<const Route> build_routes();
std::span<const Route> session_routes();
std::span<const Route> network_routes();
std::span<const Route> volume_routes();
std::span<const Route> event_routes();
std::span<const Route> plugin_routes();
std::span<const Route> swarm_routes();

} // namespace berth::api
