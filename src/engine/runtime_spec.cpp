// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/oci_linux.go: what each option of a container becomes in config.json.
#include "engine/runtime_spec.h"

#include "base/file.h"
#include "base/strings.h"
#include "engine/apparmor.h"
#include "engine/cdi.h"
#include "engine/cgroup_place.h"
#include "engine/config_check.h"
#include "engine/config_merge.h"
#include "engine/runtime_spec_parts.h"
#include "engine/selinux.h"
#include "oci/runtime_config.h"
#include "runtime/defaults.h"
#include "runtime/user.h"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// Where Docker puts its own init for --init.
constexpr const char* init_path = "/sbin/docker-init";

void set_namespace(oci::RuntimeConfig& config, const std::string& type, const std::string& path) {
    auto& namespaces = config.linux_.namespaces;
    auto found = std::ranges::find(namespaces, type, &oci::Namespace::type);
    if (found == namespaces.end()) {
        namespaces.push_back({type, path});
    } else {
        found->path = path;
    }
}

void remove_namespace(oci::RuntimeConfig& config, const std::string& type) {
    std::erase_if(config.linux_.namespaces, [&type](const oci::Namespace& entry) {
        return entry.type == type;
    });
}

void apply_namespaces(oci::RuntimeConfig& config, const SpecInput& input) {
    const HostConfig& host = input.definition.host_config;
    const auto apply = [&](const char* type, const std::string& mode, const std::string& path) {
        if (is_host_mode(mode)) {
            remove_namespace(config, type);
        } else if (!path.empty()) {
            set_namespace(config, type, path);
        }
    };
    apply("network", host.network_mode, input.network_path);
    apply("ipc", host.ipc_mode, input.ipc_path);
    apply("pid", host.pid_mode, input.pid_path);
    apply("uts", host.uts_mode, "");
    if (input.owners != nullptr) {
        set_namespace(config, "user", input.user_path);
        config.linux_.uid_mappings = mappings_of(input.owners->maps().uids);
        config.linux_.gid_mappings = mappings_of(input.owners->maps().gids);
    }
    if (is_host_mode(host.cgroupns_mode)) {
        remove_namespace(config, "cgroup");
    } else {
        set_namespace(config, "cgroup", "");
    }
    if (is_host_mode(host.uts_mode)) {
        config.hostname.clear();
    } else {
        config.domainname = input.definition.config.domainname;
    }
}

Result<oci::User> process_user(
    const std::string& root_path, const std::string& spec, const std::vector<std::string>& groups) {
    const UniqueFd root = TRY(open_file(root_path, O_PATH | O_DIRECTORY));
    runtime::ResolvedUser resolved = TRY(runtime::resolve_user(root, spec, groups));
    oci::User user;
    user.uid = resolved.uid;
    user.gid = resolved.gid;
    user.additional_gids = std::move(resolved.additional_gids);
    return user;
}

Result<std::vector<std::string>> capability_names(const HostConfig& host) {
    return runtime::adjust_capabilities(
        runtime::default_capabilities(), host.cap_add, host.cap_drop, host.privileged);
}

Result<std::vector<oci::Rlimit>> rlimits(const HostConfig& host, const DaemonConfig& daemon) {
    std::map<std::string, Ulimit> limits = daemon.default_ulimits;
    for (const Ulimit& limit : host.ulimits) {
        limits.insert_or_assign(limit.name, limit);
    }
    static constexpr std::string_view known[] = {
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack"};
    std::vector<oci::Rlimit> result;
    for (const auto& [name, limit] : limits) {
        if (std::ranges::find(known, name) == std::end(known)) {
            return invalid_argument("invalid ulimit type: " + name);
        }
        // -1 is RLIM_INFINITY, which is the same bits.
        result.push_back(
            {"RLIMIT_" + to_upper(name),
             static_cast<std::uint64_t>(limit.hard),
             static_cast<std::uint64_t>(limit.soft)});
    }
    return result;
}

// Those of an engine that had SELinux mean nothing to one that has not.
bool has_labels(const DaemonConfig& daemon) {
    return daemon.selinux_enabled && has_selinux();
}

Result<void> apply_seccomp(
    oci::RuntimeConfig& config,
    const SpecInput& input,
    const SecurityOptions& security,
    const std::vector<std::string>& capabilities) {
    std::string profile = security.seccomp;
    if (profile.empty() && input.daemon.seccomp_profile != "builtin") {
        profile = input.daemon.seccomp_profile;
        if (!profile.empty() && profile != "unconfined") {
            profile = TRY_CONTEXT(read_file(profile, 4U << 20), "opening seccomp profile");
        }
    }
    const bool limited = security.socket_families == runtime::SocketFamilies::Limited;
    if (input.definition.host_config.privileged || profile == "unconfined") {
        if (limited && security.socket_families_given) {
            return invalid_argument(
                "--security-opt socket-families=limited needs a seccomp filter: "
                "not with --privileged or seccomp=unconfined");
        }
        config.linux_.seccomp.reset();
        return ok();
    }
    if (profile.empty()) {
        config.linux_.seccomp = TRY(runtime::default_seccomp(capabilities));
    } else {
        config.linux_.seccomp = TRY(runtime::resolve_seccomp(profile, capabilities));
    }
    return limited ? runtime::limit_socket_families(*config.linux_.seccomp) : ok();
}

Result<void>
apply_process(oci::RuntimeConfig& config, const SpecInput& input, const SecurityOptions& security) {
    const ContainerConfig& asked = input.definition.config;
    const HostConfig& host = input.definition.host_config;
    oci::Process& process = config.process.emplace();
    if (host.init.value_or(input.daemon.init) && !is_host_mode(host.pid_mode)) {
        process.args = {init_path, "--"};
        config.mounts.push_back(
            {.destination = init_path,
             .type = "bind",
             .source = input.init_program,
             .options = {"bind", "ro"}});
    }
    process.args.push_back(input.definition.path);
    process.args.insert(
        process.args.end(), input.definition.arguments.begin(), input.definition.arguments.end());
    process.env = container_environment(asked);
    process.cwd = asked.working_dir.empty() ? "/" : clean_path(asked.working_dir);
    process.terminal = asked.tty;
    if (asked.tty && host.console_size[0] != 0 && host.console_size[1] != 0) {
        process.console_size =
            oci::ConsoleSize{.height = host.console_size[0], .width = host.console_size[1]};
    }
    process.user = TRY(process_user(input.root_path, asked.user, host.group_add));
    const std::vector<std::string> capabilities = TRY(capability_names(host));
    process.capabilities = runtime::capability_sets(capabilities);
    process.rlimits = TRY(rlimits(host, input.daemon));
    process.no_new_privileges = security.no_new_privileges;
    process.oom_score_adj = static_cast<std::int32_t>(host.oom_score_adj);
    process.apparmor_profile = apparmor_profile(host, security);
    if (has_labels(input.daemon)) {
        process.selinux_label = input.definition.process_label;
        config.linux_.mount_label = input.definition.mount_label;
    }
    return apply_seccomp(config, input, security, capabilities);
}

Result<void> apply_sysctls(oci::RuntimeConfig& config, const HostConfig& host) {
    static constexpr std::string_view ipc_names[] = {
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced"};
    for (const auto& [name, value] : host.sysctls) {
        const std::string dotted = replace_all(name, "/", "."); // sysctl(8) takes both
        const bool is_network = dotted.starts_with("net.");
        const bool is_ipc = dotted.starts_with("fs.mqueue.") ||
                            std::ranges::find(ipc_names, dotted) != std::end(ipc_names);
        if (is_network && is_host_mode(host.network_mode)) {
            return invalid_argument(
                "sysctl '" + name + "' is not allowed because host network is enabled");
        }
        if (is_ipc && is_host_mode(host.ipc_mode)) {
            return invalid_argument(
                "sysctl '" + name + "' is not allowed because host ipc is enabled");
        }
        if (!is_network && !is_ipc) {
            return invalid_argument("sysctl '" + name + "' is not allowed");
        }
        config.linux_.sysctl.insert_or_assign(name, value);
    }
    return ok();
}

// Privileged containers may write to theirs unless they are asked not to.
void apply_cgroup_access(oci::RuntimeConfig& config, const SecurityOptions& security) {
    if (!security.writable_cgroups) {
        return;
    }
    for (oci::Mount& mount : config.mounts) {
        if (mount.type == "cgroup") {
            std::erase(mount.options, "ro");
            std::erase(mount.options, "rw");
            mount.options.emplace_back(*security.writable_cgroups ? "rw" : "ro");
        }
    }
}

} // namespace

Result<std::string> runtime_config(const SpecInput& input) {
    const HostConfig& host = input.definition.host_config;
    const SecurityOptions security = TRY(parse_security_options(host.security_opt, input.daemon));
    // A shared /dev/shm is bound instead of mounted, and ipc mode none has no /dev/shm at all.
    const bool own_shm =
        input.shm_path.empty() && host.ipc_mode != "none" && !is_host_mode(host.ipc_mode);
    oci::RuntimeConfig config = TRY(runtime::default_config(
        {.root_path = input.root_path,
         .root_readonly = host.readonly_rootfs,
         .hostname = input.hostname,
         .cgroups_path = cgroups_path(input.definition, input.daemon),
         .shm_size = own_shm ? host.shm_size : 0,
         .privileged = host.privileged,
         .seccomp = false}));
    apply_namespaces(config, input);
    apply_cgroup_access(config, security);
    TRY(apply_process(config, input, security));
    TRY(apply_mounts(config, input));
    oci::Resources resources = TRY(resources_of(host));
    std::vector<oci::DeviceRule> rules;
    if (config.linux_.resources) {
        rules = std::move(config.linux_.resources->devices);
    }
    TRY(add_devices(config, rules, host));
    resources.devices = std::move(rules);
    config.linux_.resources = std::move(resources);
    TRY(inject_devices(config, host.device_requests, cdi_directories(input.daemon)));
    TRY(apply_sysctls(config, host));
    if (host.privileged || security.unmask_system_paths) {
        config.linux_.masked_paths.clear();
        config.linux_.readonly_paths.clear();
    } else {
        config.linux_.masked_paths = host.masked_paths.value_or(runtime::default_masked_paths());
        config.linux_.readonly_paths =
            host.readonly_paths.value_or(runtime::default_readonly_paths());
    }
    config.annotations = host.annotations;
    return oci::runtime_config_text(config);
}

Result<std::string> linux_resources(const HostConfig& host_config) {
    const oci::Resources resources = TRY(resources_of(host_config));
    return json::encode_text(resources);
}

Result<std::string> exec_process(
    const ContainerDefinition& definition,
    const DaemonConfig& daemon,
    const ExecConfig& exec,
    const std::string& root_path) {
    const HostConfig& host = definition.host_config;
    const SecurityOptions security = TRY(parse_security_options(host.security_opt, daemon));
    oci::Process process;
    process.args = exec.cmd;
    // -t decides about TERM; everything else is the container's.
    ContainerConfig asked = definition.config;
    asked.tty = exec.tty;
    process.env = replace_or_append(container_environment(asked), exec.env);
    const std::string& directory =
        exec.working_dir.empty() ? definition.config.working_dir : exec.working_dir;
    process.cwd = directory.empty() ? "/" : clean_path(directory);
    process.terminal = exec.tty;
    if (exec.tty && exec.console_size) {
        process.console_size =
            oci::ConsoleSize{.height = (*exec.console_size)[0], .width = (*exec.console_size)[1]};
    }
    process.user = TRY(process_user(
        root_path, exec.user.empty() ? definition.config.user : exec.user, host.group_add));
    const std::vector<std::string> capabilities =
        exec.privileged ? runtime::all_capabilities() : TRY(capability_names(host));
    process.capabilities = runtime::capability_sets(capabilities);
    process.rlimits = TRY(rlimits(host, daemon));
    process.no_new_privileges = security.no_new_privileges;
    process.oom_score_adj = static_cast<std::int32_t>(host.oom_score_adj);
    process.apparmor_profile =
        exec.privileged && has_apparmor() ? "unconfined" : apparmor_profile(host, security);
    if (has_labels(daemon)) {
        process.selinux_label = definition.process_label;
    }
    return oci::process_text(process);
}

} // namespace berth::engine
