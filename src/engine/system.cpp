// SPDX-License-Identifier: Apache-2.0
// docker info and docker version, from uname, /proc, /etc/os-release and the cgroup layout.
#include "engine/system.h"

#include "base/build_commit.h"
#include "base/file.h"
#include "base/random.h"
#include "base/strings.h"
#include "engine/apparmor.h"
#include "engine/cdi.h"
#include "engine/cgroup_place.h"
#include "engine/engine.h"
#include "engine/images.h"
#include "engine/log_config.h"
#include "engine/selinux.h"
#include "kernel/cgroup.h"
#include "kernel/ip_forwarding.h"
#include "registry/proxy.h"
#include "store/store.h"

#include <linux/magic.h>

#include <array>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// moby's daemon/info.go, MaskCredentials.
std::string masked(std::string url) {
    std::size_t start = url.find("://");
    start = start == std::string::npos ? 0 : start + 3;
    std::size_t at = url.substr(0, url.find('/', start)).rfind('@');
    if (at != std::string::npos && at > start) {
        url.replace(start, at - start, "xxxxx:xxxxx");
    }
    return url;
}

utsname machine() {
    utsname name{};
    uname(&name);
    return name;
}

// Go's names for architectures.
std::string go_architecture(const std::string& name) {
    if (name == "x86_64") {
        return "amd64";
    }
    return name == "aarch64" ? "arm64" : name;
}

// PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
std::string os_release(std::string_view key) {
    auto text = read_file("/etc/os-release");
    if (!text.ok()) {
        return {};
    }
    for (std::string_view line : split(*text, '\n')) {
        auto parts = cut(line, "=");
        if (parts && parts->before == key) {
            std::string_view value = trim(parts->after);
            if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'')) {
                value = value.substr(1, value.size() - 2);
            }
            return std::string(value);
        }
    }
    return {};
}

std::int64_t directory_count(const std::string& path) {
    auto names = list_directory(path);
    return names.ok() ? static_cast<std::int64_t>(names->size()) : 0;
}

// Chosen once, kept beside the database.
Result<std::string> engine_id(const std::string& data_root) {
    const std::string path = data_root + "/engine-id";
    auto text = read_file(path);
    if (text.ok() && !trim(*text).empty()) {
        return std::string(trim(*text));
    }
    const std::string hex = random_hex(16);
    std::string id = hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
                     hex.substr(16, 4) + "-" + hex.substr(20);
    TRY(replace_file(path, id + "\n", 0600));
    return id;
}

// Clients refuse what they take for a Docker that is too old, or use less of it. So the number is
// the release of Docker Engine that this one behaves like; ours follows as build metadata, where
// distributions write theirs.
std::string server_version(const std::string& version) {
    return "28.5.2+berth." + version;
}

// moby's names of file systems.
std::string file_system_name(const std::string& path) {
    struct statfs status {};

    if (statfs(path.c_str(), &status) != 0) {
        return "<unknown>";
    }
    static constexpr std::pair<std::uint64_t, const char*> names[] = {
        {BTRFS_SUPER_MAGIC, "btrfs"},
        {EXT4_SUPER_MAGIC, "extfs"},
        {F2FS_SUPER_MAGIC, "f2fs"},
        {NFS_SUPER_MAGIC, "nfs"},
        {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
        {TMPFS_MAGIC, "tmpfs"},
        {XFS_SUPER_MAGIC, "xfs"},
        {0x2fc12fc1, "zfs"}};
    for (const auto& [magic, name] : names) {
        if (static_cast<std::uint64_t>(status.f_type) == magic) {
            return name;
        }
    }
    return "<unknown>";
}

// "Nov 25 2026" and "17:13:28" as dockerd writes a time, which clients reformat.
std::string build_time() {
    std::tm time{};
    if (strptime(__DATE__ " " __TIME__, "%b %e %Y %H:%M:%S", &time) == nullptr) {
        return "";
    }
    std::array<char, 64> text{};
    const std::size_t size =
        std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.000000000+00:00", &time);
    return std::string(text.data(), size);
}

void describe_cgroups(SystemInfo& info, const DaemonConfig& config) {
    info.cgroup_driver = uses_systemd_cgroups(config) ? "systemd" : "cgroupfs";
    info.cgroup_version = "1";
    auto layout = kernel::cgroup_layout();
    if (!layout.ok()) {
        return;
    }
    const auto has = [&layout](const char* controller) {
        return (*layout)->controllers.contains(controller);
    };
    bool unified = (*layout)->mode == kernel::CgroupMode::Version2;
    info.cgroup_version = unified ? "2" : "1";
    info.memory_limit = unified || has("memory");
    info.swap_limit = unified || exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
    info.cpu_cfs_period = unified || has("cpu");
    info.cpu_cfs_quota = info.cpu_cfs_period;
    info.cpu_shares = info.cpu_cfs_period;
    info.cpu_set = unified || has("cpuset");
    info.pids_limit = unified || has("pids");
    info.oom_kill_disable = !unified && has("memory");
}

// After moby's daemon/info.go, fillAPIInfo.
void warn_of_open_hosts(SystemInfo& info, const DaemonConfig& config) {
    for (const std::string& host : config.hosts) {
        const auto parts = cut(host, "://");
        if ((parts && parts->before != "tcp") || config.verifies_clients()) {
            continue;
        }
        info.warnings.push_back(
            "[DEPRECATION NOTICE]: API is accessible on " +
            std::string(config.uses_tls() ? "https://" : "http://") +
            std::string(parts ? parts->after : std::string_view(host)) +
            (config.uses_tls() ? " without TLS client verification.\n" : " without encryption.\n") +
            "         Access to the remote API is equivalent to root access on the host.");
    }
}

// After describe_cgroups.
void describe_security(SystemInfo& info, const DaemonConfig& config) {
    const std::pair<bool, const char*> options[] = {
        {has_apparmor(), "name=apparmor"},
        {true, "name=seccomp,profile=builtin"},
        {config.selinux_enabled && has_selinux(), "name=selinux"},
        {config.remaps_users(), "name=userns"},
        {config.socket_families == "limited", "name=socket-families,value=limited"},
        {info.cgroup_version == "2", "name=cgroupns"}};
    for (const auto& [is_there, name] : options) {
        if (is_there) {
            info.security_options.emplace_back(name);
        }
    }
}

} // namespace

Result<std::string> System::id() const {
    return engine_id(engine_.config().data_root);
}

Result<SystemInfo> System::info() const {
    const DaemonConfig& config = engine_.config();
    SystemInfo info;
    info.id = TRY(engine_id(config.data_root));
    const std::vector<ContainerSummary> containers = TRY(engine_.containers().list({.all = true}));
    for (const ContainerSummary& container : containers) {
        ++info.containers;
        if (container.state.status == ContainerStatus::Paused) {
            ++info.containers_paused;
        } else if (container.state.is_running()) {
            ++info.containers_running;
        } else {
            ++info.containers_stopped;
        }
    }
    info.images = engine_.images().count();
    info.volume_plugins = engine_.volumes().drivers();
    info.driver = engine_.layers().driver_name();
    if (info.driver == "overlay2") {
        info.driver_status = {
            {"Backing Filesystem", file_system_name(config.data_root)},
            {"Supports d_type", "true"},
            {"Using metacopy", "false"},
            {"Native Overlay Diff", "true"},
            {"userxattr", "false"},
            {"Layer form", engine_.layers().form_description()}};
    }
    info.docker_root_dir = config.data_root;
    describe_cgroups(info, config);
    info.ipv4_forwarding = kernel::ipv4_forwarding().value_or(false);
    info.debug = config.debug;
    info.open_files = directory_count("/proc/self/fd");
    info.threads = directory_count("/proc/self/task");
    info.event_listeners = static_cast<std::int64_t>(engine_.events().listener_count());
    info.system_time = Timestamp::now();
    info.logging_driver = default_log_driver(config);
    const utsname name = machine();
    info.kernel_version = name.release;
    info.operating_system = os_release("PRETTY_NAME");
    info.os_version = os_release("VERSION_ID");
    info.architecture = name.machine;
    info.name = name.nodename;
    info.cpus = sysconf(_SC_NPROCESSORS_ONLN);
    info.memory_total = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    info.registry_mirrors = config.registry_mirrors;
    info.insecure_registries = config.insecure_registries;
    info.http_proxy = masked(registry::proxy_variable("HTTP_PROXY"));
    info.https_proxy = masked(registry::proxy_variable("HTTPS_PROXY"));
    info.no_proxy = registry::proxy_variable("NO_PROXY");
    info.labels = config.labels;
    info.experimental = config.experimental;
    info.version = engine_.options().version;
    info.server_version = server_version(info.version);
    // Clients look for runc by name; it stands for the built-in runtime.
    info.runtimes = {{"runc", engine_.options().program_directory + "/berth-runtime"}};
    info.runtimes.insert(config.runtimes.begin(), config.runtimes.end());
    info.default_runtime = config.default_runtime.empty() ? "runc" : config.default_runtime;
    info.init_binary = "berth-init";
    info.live_restore = config.live_restore;
    info.cdi_spec_dirs = cdi_directories(config);
    info.cdi_devices = cdi_devices(info.cdi_spec_dirs);
    describe_security(info, config);
    info.log_plugins = log_driver_names();
    if (!info.swap_limit) {
        info.warnings.emplace_back("WARNING: No swap limit support");
    }
    if (!info.ipv4_forwarding) {
        info.warnings.emplace_back("WARNING: IPv4 forwarding is disabled");
    }
    warn_of_open_hosts(info, config);
    return info;
}

SystemVersion System::version() const {
    const utsname name = machine();
    SystemVersion version;
    version.version = engine_.options().version;
    version.server_version = server_version(version.version);
    version.git_commit = build_commit();
    version.architecture = go_architecture(name.machine);
    version.kernel_version = name.release;
    version.build_time = build_time();
    version.experimental = engine_.config().experimental;
    return version;
}

} // namespace berth::engine
