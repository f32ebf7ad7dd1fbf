// SPDX-License-Identifier: Apache-2.0
// spec: the config.json that runc writes to start from (libcontainer/specconv/example.go).
#include "base/file.h"
#include "codec/json.h"
#include "oci/runtime_config.h"
#include "runtime/command_line/commands.h"
#include "runtime/defaults.h"

#include <algorithm>

#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

constexpr std::uint64_t max_open_files = 1024;

oci::Process example_process() {
    const std::vector<std::string> capabilities{
        "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
    oci::Process process;
    process.terminal = true;
    process.args = {"sh"};
    process.env = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
    process.capabilities = capability_sets(capabilities);
    process.rlimits = {{"RLIMIT_NOFILE", max_open_files, max_open_files}};
    process.no_new_privileges = true;
    return process;
}

std::vector<oci::Mount> example_mounts() {
    auto mount = [](std::string destination,
                    std::string type,
                    std::string source,
                    std::vector<std::string> options) {
        oci::Mount made;
        made.destination = std::move(destination);
        made.type = std::move(type);
        made.source = std::move(source);
        made.options = std::move(options);
        return made;
    };
    return {
        mount("/proc", "proc", "proc", {}),
        mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
        mount(
            "/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
        mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
        mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
        mount(
            "/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"})};
}

oci::RuntimeConfig example_config() {
    oci::RuntimeConfig config;
    config.process = example_process();
    config.root = {.path = "rootfs", .readonly = true};
    config.hostname = "berth";
    config.mounts = example_mounts();
    for (std::string_view type : {"pid", "network", "ipc", "uts", "mount", "cgroup"}) {
        config.linux_.namespaces.emplace_back().type = type;
    }
    config.linux_.masked_paths = default_masked_paths();
    config.linux_.readonly_paths = default_readonly_paths();
    config.linux_.resources.emplace();
    config.linux_.resources->devices = {{.allow = false, .type = {}, .access = "rwm"}};
    return config;
}

oci::IdMapping root_is(std::uint32_t id) {
    oci::IdMapping mapping;
    mapping.host_id = id;
    mapping.size = 1;
    return mapping;
}

// runc: specconv.ToRootless. The user's own id becomes root; what needs another id or root's
// rights on the host goes.
void make_rootless(oci::RuntimeConfig& config) {
    std::erase_if(config.linux_.namespaces, [](const oci::Namespace& entry) {
        return entry.type == "network" || entry.type == "user";
    });
    config.linux_.namespaces.emplace_back().type = "user";
    config.linux_.uid_mappings = {root_is(::geteuid())};
    config.linux_.gid_mappings = {root_is(::getegid())};
    std::erase_if(config.mounts, [](const oci::Mount& mount) {
        return mount.destination == "/sys" || mount.destination.starts_with("/sys/");
    });
    for (oci::Mount& mount : config.mounts) {
        std::erase_if(mount.options, [](const std::string& option) {
            return option.starts_with("uid=") || option.starts_with("gid=");
        });
    }
    // A sysfs of its own needs a network namespace of its own.
    oci::Mount& sys = config.mounts.emplace_back();
    sys.destination = "/sys";
    sys.type = "none";
    sys.source = "/sys";
    sys.options = {"rbind", "nosuid", "noexec", "nodev", "ro"};
    config.linux_.resources.reset();
}

} // namespace

Result<int> spec(const Globals&, const Flags& flags) {
    oci::RuntimeConfig config = example_config();
    if (flags.is_set("rootless")) {
        make_rootless(config);
    }
    const std::string folder = flags.value("bundle").empty() ? "." : flags.value("bundle");
    const std::string path = folder + "/config.json";
    if (exists(path)) {
        return conflict("file config.json exists. Remove it first");
    }
    TRY(replace_file(
        path, json::serialize_indented(json::encode(config), "\t") + "\n", 0666, Sync::No));
    return 0;
}

} // namespace berth::runtime::command_line
