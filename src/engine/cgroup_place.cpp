// SPDX-License-Identifier: Apache-2.0
// moby's daemon/daemon_unix.go (getCD, verifyDaemonSettings) and daemon/oci_linux.go (WithCgroups).
#include "engine/cgroup_place.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_systemd.h"

#include <unistd.h>

namespace berth::engine {
namespace {

constexpr std::string_view default_parent = "/berth";
constexpr std::string_view driver_option = "native.cgroupdriver=";
constexpr const char* default_slice = "system.slice";
constexpr const char* scope_prefix = "docker";

bool is_version2() {
    auto layout = kernel::cgroup_layout();
    return layout.ok() && (*layout)->mode == kernel::CgroupMode::Version2;
}

// sd_booted(3)
bool systemd_runs() {
    return exists("/run/systemd/system");
}

std::string parent_of(const ContainerDefinition& definition, const DaemonConfig& daemon) {
    const std::string& own = definition.host_config.cgroup_parent;
    return own.empty() ? daemon.cgroup_parent : own;
}

std::string directory_parent(const DaemonConfig& daemon) {
    return daemon.cgroup_parent.empty() ? std::string(default_parent) : daemon.cgroup_parent;
}

} // namespace

bool uses_systemd_cgroups(const DaemonConfig& daemon) {
    for (const std::string& option : daemon.exec_options) {
        if (option.starts_with(driver_option)) {
            return option == std::string(driver_option) + "systemd";
        }
    }
    return is_version2() && systemd_runs();
}

Result<void> check_cgroup_driver(const DaemonConfig& daemon) {
    if (uses_systemd_cgroups(daemon) && !systemd_runs()) {
        return Error(
            ErrorKind::Unavailable,
            "native.cgroupdriver=systemd needs a machine that runs systemd: /run/systemd/system is "
            "not there");
    }
    return check_cgroup_parent(daemon.cgroup_parent, daemon);
}

Result<void> check_cgroup_parent(const std::string& parent, const DaemonConfig& daemon) {
    if (!parent.empty() && uses_systemd_cgroups(daemon) && !kernel::is_systemd_slice(parent)) {
        return invalid_argument(
            "cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"");
    }
    return ok();
}

std::string cgroups_path(const ContainerDefinition& definition, const DaemonConfig& daemon) {
    if (!uses_systemd_cgroups(daemon)) {
        return cgroup_path(definition, daemon);
    }
    const std::string parent = parent_of(definition, daemon);
    return (parent.empty() ? default_slice : parent) + ":" + scope_prefix + ":" + definition.id;
}

std::string cgroup_path(const ContainerDefinition& definition, const DaemonConfig& daemon) {
    std::string parent = parent_of(definition, daemon);
    if (uses_systemd_cgroups(daemon)) {
        return kernel::systemd_cgroup_path(
            {.slice = parent.empty() ? default_slice : parent,
             .name = std::string(scope_prefix) + "-" + definition.id + ".scope"});
    }
    if (parent.empty()) {
        parent = default_parent;
    }
    return clean_path("/" + parent + "/" + definition.id);
}

std::string build_cgroup_parent(const DaemonConfig& daemon) {
    return uses_systemd_cgroups(daemon) ? std::string(default_parent) : directory_parent(daemon);
}

void remove_cgroup_parent(const DaemonConfig& daemon) {
    auto group = kernel::Cgroup::open(clean_path("/" + build_cgroup_parent(daemon)));
    if (!group.ok()) {
        return;
    }
    for (const auto& [controller, directory] : group->directories()) {
        // Not empty: another engine's containers are in it.
        ::rmdir(directory.c_str());
    }
}

} // namespace berth::engine
