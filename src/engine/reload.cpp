// SPDX-License-Identifier: Apache-2.0
// What a running engine takes from a configuration that was read again.
#include "base/strings.h"
#include "codec/json.h"
#include "engine/config_check.h"
#include "engine/core.h"
#include "engine/engine_parts.h"

#include <utility>

#include <sys/utsname.h>

namespace berth::engine {
namespace {

// moby's daemon/reload.go and reload_unix.go: what the file does not name stays as it was, but for
// bounds of transfers, which go back to their defaults, and features.
void take_over(DaemonConfig& next, const DaemonConfig& fresh) {
    const auto take = [&](std::string_view key, auto member) {
        if (fresh.file_keys.contains(key)) {
            next.*member = fresh.*member;
        }
    };
    take("debug", &DaemonConfig::debug);
    take("log-level", &DaemonConfig::log_level);
    take("labels", &DaemonConfig::labels);
    take("insecure-registries", &DaemonConfig::insecure_registries);
    take("registry-mirrors", &DaemonConfig::registry_mirrors);
    take("allow-nondistributable-artifacts", &DaemonConfig::nondistributable_artifacts);
    take("live-restore", &DaemonConfig::live_restore);
    take("shutdown-timeout", &DaemonConfig::shutdown_timeout);
    take("default-shm-size", &DaemonConfig::default_shm_size);
    take("default-ipc-mode", &DaemonConfig::default_ipc_mode);
    take("default-cgroupns-mode", &DaemonConfig::default_cgroupns_mode);
    take("default-runtime", &DaemonConfig::default_runtime);
    take("runtimes", &DaemonConfig::runtimes);
    const DaemonConfig defaults;
    const auto take_or_reset = [&](std::string_view key, auto member) {
        const bool is_set = fresh.file_keys.contains(key) && fresh.*member != 0;
        next.*member = is_set ? fresh.*member : defaults.*member;
    };
    take_or_reset("max-concurrent-downloads", &DaemonConfig::max_concurrent_downloads);
    take_or_reset("max-concurrent-uploads", &DaemonConfig::max_concurrent_uploads);
    take_or_reset("max-download-attempts", &DaemonConfig::max_download_attempts);
    next.features = fresh.features;
    next.authorization_plugins = fresh.authorization_plugins;
    next.file_keys = fresh.file_keys;
}

Result<void> check_runtime(const DaemonConfig& config) {
    const std::string& name = config.default_runtime;
    if (name.empty() || name == "runc" || name == "berth" || config.runtimes.contains(name)) {
        return ok();
    }
    return invalid_argument("specified default runtime '" + name + "' does not exist");
}

std::string json_list_text(const std::vector<std::string>& list) {
    return json::serialize(json::encode(list));
}

// Go's %v of a map.
std::string features_text(const std::map<std::string, bool>& features) {
    std::vector<std::string> parts;
    for (const auto& [name, is_on] : features) {
        parts.push_back(name + (is_on ? ":true" : ":false"));
    }
    return "map[" + join(parts, " ") + "]";
}

std::string runtimes_text(const std::map<std::string, std::string>& runtimes) {
    std::vector<std::string> parts;
    for (const auto& [name, path] : runtimes) {
        parts.push_back(name + ":" + path);
    }
    return join(parts, " ");
}

std::string host_name() {
    utsname name{};
    uname(&name);
    return name.nodename;
}

StringMap attributes_of(const DaemonConfig& config) {
    const auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
    return {
        {"debug", flag(config.debug)},
        {"default-cgroupns-mode", default_cgroup_namespace(config)},
        {"default-ipc-mode", config.default_ipc_mode},
        {"default-runtime", config.default_runtime.empty() ? "runc" : config.default_runtime},
        {"default-shm-size", std::to_string(config.default_shm_size)},
        {"features", features_text(config.features)},
        {"insecure-registries", json_list_text(config.insecure_registries)},
        {"labels", json_list_text(config.labels)},
        {"live-restore", flag(config.live_restore)},
        {"max-concurrent-downloads", std::to_string(config.max_concurrent_downloads)},
        {"max-concurrent-uploads", std::to_string(config.max_concurrent_uploads)},
        {"max-download-attempts", std::to_string(config.max_download_attempts)},
        {"name", host_name()},
        {"registry-mirrors", json_list_text(config.registry_mirrors)},
        {"runtimes", runtimes_text(config.runtimes)},
        {"shutdown-timeout", std::to_string(config.shutdown_timeout)},
    };
}

} // namespace

Result<void> Engine::reload(const DaemonConfig& fresh) {
    Core& core = parts_->core;
    auto next = std::make_unique<DaemonConfig>(core.config());
    take_over(*next, fresh);
    TRY(check_runtime(*next));
    const std::string id = TRY(system().id());
    core.images->reconfigure(*next);
    core.reloaded_config.store(next.get(), std::memory_order_release);
    StringMap attributes = attributes_of(*next);
    core.reloaded_configs.push_back(std::move(next));
    core.events->publish(
        {.type = "daemon",
         .action = "reload",
         .actor_id = id,
         .attributes = std::move(attributes),
         .time = {}});
    return ok();
}

} // namespace berth::engine
