// SPDX-License-Identifier: Apache-2.0
// Figures are no secrets and change nothing: their address has neither TLS nor authorization, as
// Docker's has not.
#include "bin/berthd_metrics.h"

#include "base/log.h"

#include <utility>

namespace berth::bin {

Result<std::unique_ptr<http::Server>>
serve_metrics(const engine::DaemonConfig& config, api::Metrics& metrics, engine::Engine& engine) {
    if (config.metrics_address.empty()) {
        return std::unique_ptr<http::Server>();
    }
    http::ServerOptions options;
    options.handler = metrics.handler(engine);
    options.limits.connections = 64;
    options.worker_threads = 2;
    options.worker_name = "metrics";
    auto server = TRY(http::Server::create(std::move(options)));
    const std::uint16_t port =
        TRY_CONTEXT(server->listen_tcp(config.metrics_address), "metrics-addr");
    TRY(server->start());
    log::info("metrics API listening", {{"address", config.metrics_address}, {"port", port}});
    return server;
}

} // namespace berth::bin
