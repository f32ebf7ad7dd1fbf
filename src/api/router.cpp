// SPDX-License-Identifier: Apache-2.0
// The Docker Engine API as one HTTP handler: version prefix, routes, Docker's headers, errors as
// JSON.
#include "api/router.h"

#include "api/buildkit.h"
#include "api/error_response.h"
#include "api/route.h"
#include "api/stats_stream.h"
#include "base/log.h"

#include <exception>
#include <memory>
#include <vector>

namespace berth::api {

namespace {

std::vector<Route> all_routes() {
    std::vector<Route> routes;
    for (const auto& family :
         {system_routes(),
          disk_usage_routes(),
          container_routes(),
          container_stream_routes(),
          container_copy_routes(),
          container_port_routes(),
          exec_routes(),
          image_routes(),
          image_transfer_routes(),
          artifact_routes(),
          build_routes(),
          session_routes(),
          network_routes(),
          volume_routes(),
          event_routes(),
          plugin_routes(),
          swarm_routes()}) {
        routes.insert(routes.end(), family.begin(), family.end());
    }
    return routes;
}

void send_error(const http::Body& body, http::ResponseWriter& response, const Error& error) {
    const unsigned status = body.limit_passed() ? 413 : status_of(error.kind());
    if (response.begun()) {
        log::debug("answer broke off", {{"error", error.message()}});
        return;
    }
    const std::string text = status == 304 ? "" : error_body(error.message());
    if (auto sent = response.respond(status, json_headers(), text); !sent.ok()) {
        log::debug("client went before its answer", {{"error", sent.error().message()}});
    }
}

// Shared by all requests, and gone with the handler.
struct State {
    explicit State(const Services& parts)
        : services(parts)
        , buildkit(parts) {}

    const Services& services;
    const std::vector<Route> routes = all_routes();
    StatsPublisher stats;
    BuildKit buildkit;
};

Result<void> dispatch(
    State& state,
    std::stop_token stop,
    http::Request& request,
    http::Body& body,
    http::ResponseWriter& response) {
    const VersionedPath versioned = split_version(request.path);
    for (const Route& route : state.routes) {
        if (route.method != request.method) {
            continue;
        }
        const auto parameter = match(route.pattern, versioned.path);
        if (!parameter) {
            continue;
        }
        const ApiVersion version = TRY(negotiate(versioned.prefix));
        Context context({
            .stop = std::move(stop),
            .services = state.services,
            .stats = state.stats,
            .buildkit = state.buildkit,
            .request = request,
            .body = body,
            .response = response,
            .version = version,
            .parameter = std::string(*parameter),
        });
        return route.handler(context);
    }
    return not_found("page not found");
}

} // namespace

std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
    const std::size_t open = pattern.find('{');
    if (open == std::string_view::npos) {
        return pattern == path ? std::optional<std::string_view>("") : std::nullopt;
    }
    const std::size_t close = pattern.find('}', open);
    const bool takes_segments = pattern.substr(0, close).ends_with("...");
    const std::string_view before = pattern.substr(0, open);
    const std::string_view after = pattern.substr(close + 1);
    if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
        !path.ends_with(after)) {
        return std::nullopt;
    }
    const std::string_view value =
        path.substr(before.size(), path.size() - before.size() - after.size());
    if (!takes_segments && value.find('/') != std::string_view::npos) {
        return std::nullopt;
    }
    return value;
}

http::Handler make_handler(const Services& services) {
    return [state = std::make_shared<State>(services)](
               std::stop_token stop,
               http::Request& request,
               http::Body& body,
               http::ResponseWriter& response) {
        // The dispatcher's catch: what a library threw ends this request, not the daemon.
        try {
            auto handled = dispatch(*state, std::move(stop), request, body, response);
            if (!handled.ok()) {
                log::debug(
                    "request failed",
                    {{"method", request.method},
                     {"path", request.path},
                     {"error", handled.error().message()}});
                send_error(body, response, handled.error());
            }
        } catch (const std::exception& exception) {
            log::error(
                "request ended by an exception",
                {{"path", request.path}, {"what", exception.what()}});
            send_error(body, response, internal_error(exception.what()));
        }
    };
}

http::Headers default_headers(std::string_view version, bool experimental) {
    return http::Headers{
        {"Api-Version", maximum_version.to_string()},
        {"Docker-Experimental", experimental ? "true" : "false"},
        {"Ostype", "linux"},
        {"Server", "Berth/" + std::string(version) + " (linux)"}};
}

http::ErrorBody server_error(unsigned, std::string_view message) {
    return {"application/json", error_body(message)};
}

} // namespace berth::api
