// SPDX-License-Identifier: Apache-2.0
// The checks of moby's daemon/container.go, daemon_unix.go and runconfig/hostconfig_unix.go, with
// their words.
#include "engine/config_check.h"

#include "base/file.h"
#include "base/strings.h"
#include "engine/cgroup_place.h"
#include "engine/health_checks.h"
#include "engine/log_config.h"
#include "engine/resource_check.h"
#include "engine/resource_support.h"
#include "engine/signals.h"
#include "engine/user_namespace.h"
#include "kernel/cgroup.h"
#include "kernel/ip_forwarding.h"
#include "kernel/netlink_address.h"
#include "runtime/defaults.h"

#include <algorithm>
#include <array>

namespace berth::engine {
namespace {

Result<void> check_health(const HealthConfig& health) {
    constexpr std::int64_t millisecond = 1'000'000;
    const std::pair<std::string_view, std::int64_t> times[] = {
        {"Interval", health.interval},
        {"Timeout", health.timeout},
        {"StartPeriod", health.start_period},
        {"StartInterval", health.start_interval}};
    for (const auto& [name, value] : times) {
        if (value != 0 && value < millisecond) {
            return invalid_argument(std::string(name) + " in Healthcheck cannot be less than 1ms");
        }
    }
    if (health.retries < 0) {
        return invalid_argument("Retries in Healthcheck cannot be negative");
    }
    if (!health.test.empty() && health.test[0] != "NONE" && health.test[0] != "CMD" &&
        health.test[0] != "CMD-SHELL") {
        return invalid_argument(
            "Unknown healthcheck type '" + health.test[0] + "' (expected 'CMD')");
    }
    return ok();
}

Result<void> check_config(const ContainerConfig& config) {
    if (!config.working_dir.empty() && !config.working_dir.starts_with('/')) {
        return invalid_argument(
            "the working directory '" + config.working_dir +
            "' is invalid, it needs to be an absolute path");
    }
    if (config.hostname.size() > 64) {
        return invalid_argument("invalid hostname format: " + config.hostname);
    }
    if (!config.stop_signal.empty()) {
        TRY(parse_signal(config.stop_signal));
    }
    for (const std::string& entry : config.env) {
        if (entry.empty() || entry.starts_with('=')) {
            return invalid_argument("invalid environment variable: " + entry);
        }
    }
    if (config.healthcheck) {
        TRY(check_health(*config.healthcheck));
    }
    return ok();
}

// moby's runconfig/hostconfig_unix.go, validateNetMode
Result<void> check_network_conflicts(const ContainerConfig& config, const HostConfig& host) {
    const bool is_container = !container_of_mode(host.network_mode).empty();
    if (host.network_mode.starts_with("container:") && !is_container) {
        return invalid_argument(
            "invalid network mode: invalid container format container:<name|id>");
    }
    if (host.uts_mode == "host" && !config.hostname.empty()) {
        return invalid_argument("conflicting options: hostname and the UTS mode");
    }
    if (!is_container) {
        return ok();
    }
    const std::pair<std::string_view, bool> conflicts[] = {
        {"hostname", !config.hostname.empty()},
        {"dns", !host.dns.empty()},
        {"custom host-to-IP mapping", !host.extra_hosts.empty()},
        {"mac-address", !config.mac_address.empty()}};
    for (const auto& [what, is_set] : conflicts) {
        if (is_set) {
            return invalid_argument(
                "conflicting options: " + std::string(what) + " and the network mode");
        }
    }
    if (!host.port_bindings.empty() || host.publish_all_ports) {
        return invalid_argument(
            "conflicting options: port publishing and the container type network mode");
    }
    if (!config.exposed_ports.empty()) {
        return invalid_argument(
            "conflicting options: port exposing and the container type network mode");
    }
    return ok();
}

// moby's opts/hosts.go, ValidateExtraHost: "name:address" or "name=address".
Result<void> check_extra_hosts(const std::vector<std::string>& hosts) {
    for (const std::string& entry : hosts) {
        const std::size_t end = entry.find_first_of(":=");
        if (end == std::string::npos || end == 0) {
            return invalid_argument("bad format for add-host: \"" + entry + "\"");
        }
        const std::string whole = entry.substr(end + 1);
        std::string_view address = whole;
        if (address.starts_with('[') && address.ends_with(']')) {
            address = address.substr(1, address.size() - 2);
        }
        if (address != "host-gateway" && !kernel::IpAddress::parse(address).ok()) {
            return invalid_argument("invalid IP address in add-host: \"" + whole + "\"");
        }
    }
    return ok();
}

Result<void> check_modes(const HostConfig& host) {
    if (!host.uts_mode.empty() && host.uts_mode != "host") {
        return invalid_argument("invalid UTS mode: " + host.uts_mode);
    }
    const auto is_any = [](const std::string& mode, std::initializer_list<std::string_view> names) {
        return std::ranges::find(names, mode) != names.end() || !container_of_mode(mode).empty();
    };
    if (!is_any(host.ipc_mode, {"", "none", "private", "shareable", "host"})) {
        return invalid_argument("invalid IPC mode: " + host.ipc_mode);
    }
    if (!is_any(host.pid_mode, {"", "host"})) {
        return invalid_argument("invalid PID mode: " + host.pid_mode);
    }
    if (host.cgroupns_mode != "" && host.cgroupns_mode != "private" &&
        host.cgroupns_mode != "host") {
        return invalid_argument("invalid cgroup namespace mode: " + host.cgroupns_mode);
    }
    return ok();
}

// moby's verifyPlatformContainerSettings
void warn_of_network(const HostConfig& host, std::vector<std::string>& warnings) {
    const std::string& mode = host.network_mode;
    if (!kernel::ipv4_forwarding().value_or(true) && !is_host_mode(mode) && mode != "none") {
        warnings.emplace_back("IPv4 forwarding is disabled. Networking will not work.");
    }
    if (is_host_mode(mode) && !host.port_bindings.empty()) {
        warnings.emplace_back("Published ports are discarded when using host network mode");
    }
}

void complete(HostConfig& host, const DaemonConfig& daemon) {
    if (host.network_mode.empty() || host.network_mode == "default") {
        host.network_mode = daemon.bridge == "none" ? "none" : "bridge";
    }
    if (host.restart_policy.name.empty()) {
        host.restart_policy.name = "no";
    }
    if (host.ipc_mode.empty()) {
        host.ipc_mode = daemon.default_ipc_mode;
    }
    if (host.cgroupns_mode.empty()) {
        host.cgroupns_mode = default_cgroup_namespace(daemon);
    }
    if (!host.privileged && !host.masked_paths) {
        host.masked_paths = runtime::default_masked_paths();
    }
    if (!host.privileged && !host.readonly_paths) {
        host.readonly_paths = runtime::default_readonly_paths();
    }
    if (host.shm_size == 0) {
        host.shm_size = daemon.default_shm_size;
    }
    if (host.runtime.empty()) {
        host.runtime = daemon.default_runtime.empty() ? "runc" : daemon.default_runtime;
    }
    if (host.pids_limit && *host.pids_limit <= 0) {
        host.pids_limit.reset();
    }
    if (host.memory > 0 && host.memory_swap == 0) {
        host.memory_swap = host.memory * 2;
    }
    if (!host.oom_kill_disable && can_limit({"memory", "memory.oom_control", ""})) {
        host.oom_kill_disable = false; // not null, as where the kernel cannot do without
    }
}

} // namespace

// moby's overlay2 driver, parseStorageOpt
Result<std::uint64_t> size_limit(const HostConfig& host, const DaemonConfig& daemon) {
    std::int64_t size = daemon.container_size;
    for (const auto& [name, value] : host.storage_opt) {
        if (!equals_ignoring_case(name, "size")) {
            return invalid_argument("Unknown option " + name);
        }
        size = TRY(parse_memory_size(value));
    }
    return static_cast<std::uint64_t>(size);
}

std::string default_cgroup_namespace(const DaemonConfig& daemon) {
    if (!daemon.default_cgroupns_mode.empty()) {
        return daemon.default_cgroupns_mode;
    }
    auto layout = kernel::cgroup_layout();
    const bool only_v2 = layout.ok() && (*layout)->mode == kernel::CgroupMode::Version2;
    return only_v2 ? "private" : "host";
}

std::string container_of_mode(const std::string& mode) {
    return mode.starts_with("container:") ? mode.substr(10) : std::string();
}

bool turns_ipv6_off(const HostConfig& host_config) {
    // dockerd looks whether the loopback interface has ::1.
    constexpr auto names = std::to_array<std::string_view>(
        {"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.lo.disable_ipv6"});
    return std::ranges::any_of(names, [&](std::string_view name) {
        const auto found = host_config.sysctls.find(std::string(name));
        return found != host_config.sysctls.end() && found->second == "1";
    });
}

bool is_host_mode(const std::string& mode) {
    return mode == "host";
}

Result<void> check_restart_policy(const RestartPolicy& policy, bool auto_remove) {
    const bool never = policy.name.empty() || policy.name == "no";
    if (policy.maximum_retry_count < 0) {
        return invalid_argument("invalid restart policy: maximum retry count cannot be negative");
    }
    const bool counts = policy.name == restart_on_failure || policy.name == restart_on_unhealthy;
    if (!never && policy.name != "always" && policy.name != "unless-stopped" && !counts) {
        return invalid_argument(
            "invalid restart policy: unknown policy '" + policy.name +
            "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'");
    }
    if (policy.maximum_retry_count > 0 && !counts) {
        return invalid_argument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'");
    }
    if (auto_remove && !never) {
        return invalid_argument("can't create 'AutoRemove' container with restart policy");
    }
    return ok();
}

Result<runtime::SocketFamilies>
parse_socket_families(std::string_view name, std::string_view value) {
    if (value == "all") {
        return runtime::SocketFamilies::All;
    }
    if (value == "limited") {
        return runtime::SocketFamilies::Limited;
    }
    return invalid_argument(
        "invalid " + std::string(name) + ": \"" + std::string(value) +
        "\" is neither all nor limited");
}

// moby's daemon/daemon_unix.go, parseSecurityOpt; socket-families is ours.
Result<SecurityOptions>
parse_security_options(const std::vector<std::string>& options, const DaemonConfig& daemon) {
    SecurityOptions result{.no_new_privileges = daemon.no_new_privileges};
    result.socket_families =
        TRY(parse_socket_families("--socket-families", daemon.socket_families));
    for (const std::string& option : options) {
        if (option == "no-new-privileges") {
            result.no_new_privileges = true;
            continue;
        }
        if (option == "disable") {
            continue;
        }
        auto parts = cut(option, "=");
        if (!parts) {
            parts = cut(option, ":");
        }
        if (!parts) {
            return invalid_argument("invalid --security-opt 1: \"" + option + "\"");
        }
        const std::string_view name = parts->before;
        const std::string_view value = parts->after;
        if (name == "no-new-privileges") {
            auto flag = value == "true" || value == "false";
            if (!flag) {
                return invalid_argument("invalid --security-opt 2: \"" + option + "\"");
            }
            result.no_new_privileges = value == "true";
        } else if (name == "seccomp") {
            result.seccomp = value == "builtin" ? std::string() : std::string(value);
        } else if (name == "socket-families") {
            result.socket_families =
                TRY(parse_socket_families("--security-opt " + std::string(name), value));
            result.socket_families_given = true;
        } else if (name == "systempaths" && value == "unconfined") {
            result.unmask_system_paths = true;
        } else if (name == "label") {
            continue; // selinux.h
        } else if (name == "apparmor") {
            result.apparmor = value;
        } else if (name == "writable-cgroups") {
            if (value != "true" && value != "false") {
                return invalid_argument("invalid --security-opt 2: \"" + option + "\"");
            }
            result.writable_cgroups = value == "true";
        } else {
            return invalid_argument("invalid --security-opt 2: \"" + option + "\"");
        }
    }
    return result;
}

Result<std::vector<std::string>>
check_and_complete(ContainerConfig& config, HostConfig& host, const DaemonConfig& daemon) {
    TRY(check_config(config));
    TRY(check_restart_policy(host.restart_policy, host.auto_remove));
    TRY(check_modes(host));
    TRY(check_extra_hosts(host.extra_hosts));
    TRY(check_network_conflicts(config, host));
    if (!host.isolation.empty() && !equals_ignoring_case(host.isolation, "default")) {
        return invalid_argument(
            "invalid isolation (" + host.isolation + "): linux only supports 'default'");
    }
    TRY(check_user_namespace(host, daemon));
    TRY(check_cgroup_parent(host.cgroup_parent, daemon));
    TRY(size_limit(host, daemon));
    TRY(parse_security_options(host.security_opt, daemon));
    TRY(runtime::adjust_capabilities(
        runtime::default_capabilities(), host.cap_add, host.cap_drop, host.privileged));
    TRY(complete_log_config(host.log_config, daemon));
    for (const auto& [name, value] : host.annotations) {
        if (name.empty()) {
            return invalid_argument(
                "invalid Annotations: the empty string is not permitted as an annotation key");
        }
    }
    complete(host, daemon);
    std::vector<std::string> warnings = discard_impossible(host);
    if (!host.cgroup.empty()) {
        warnings.emplace_back("HostConfig.Cgroup has no effect: use CgroupParent");
    }
    if (host.restart_policy.name == restart_on_unhealthy && !HealthChecks::has_check(config)) {
        warnings.emplace_back(
            "HostConfig.RestartPolicy on-unhealthy is as on-failure: the container has no health "
            "check");
    }
    std::vector<std::string> more = TRY(check_resources(host));
    warnings.insert(warnings.end(), more.begin(), more.end());
    warn_of_network(host, warnings);
    return warnings;
}

} // namespace berth::engine
