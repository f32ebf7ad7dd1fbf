// SPDX-License-Identifier: Apache-2.0
// After moby's cmd/dockerd/daemon.go, reloadConfig.
#include "bin/berthd_reload.h"

#include "base/log.h"
#include "bin/berthd_process.h"

#include <utility>

namespace berth::bin {

namespace {

Result<void> try_reload(
    const Invocation& invocation, engine::Engine& engine, api::Authorization& authorization) {
    const engine::ParsedDaemonFlags fresh =
        TRY(engine::parse_daemon_flags(invocation.program, invocation.arguments));
    auto plugins = TRY(authorization.find(fresh.config.authorization_plugins));
    TRY(engine.reload(fresh.config));
    authorization.use(std::move(plugins));
    set_log_level(engine.config());
    return ok();
}

} // namespace

void set_log_level(const engine::DaemonConfig& config) {
    log::set_level(
        config.debug ? log::Level::Debug
                     : log::parse_level(config.log_level).value_or(log::Level::Info));
}

void reload(
    const Invocation& invocation, engine::Engine& engine, api::Authorization& authorization) {
    notify_system("RELOADING=1");
    log::info("Got signal to reload configuration", {{"file", engine.config().config_file}});
    if (auto reloaded = try_reload(invocation, engine, authorization); reloaded.ok()) {
        log::info("Reloaded configuration");
    } else {
        log::error(
            "Error reconfiguring the daemon, nothing has changed",
            {{"error", reloaded.error().message()}});
    }
    notify_system("READY=1");
}

} // namespace berth::bin
