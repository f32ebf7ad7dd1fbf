// SPDX-License-Identifier: Apache-2.0
// systemd gets what it has words for, and the files get everything: its words are coarser.
#include "runtime/cgroup_setup.h"

#include "base/rollback.h"
#include "kernel/dbus_connection.h"
#include "kernel/id_mapping.h"
#include "runtime/cgroup_resources.h"
#include "runtime/systemd_annotations.h"

#include <algorithm>

namespace berth::runtime {

namespace {

// A container that may write to its groups makes groups itself (an engine in a container), and
// needs every controller for that.
kernel::CgroupControllers controllers_for(const oci::RuntimeConfig& config) {
    const bool writable =
        std::any_of(config.mounts.begin(), config.mounts.end(), [](const oci::Mount& mount) {
            return (mount.type == "cgroup" || mount.type == "cgroup2") &&
                   std::find(mount.options.begin(), mount.options.end(), "ro") ==
                       mount.options.end();
        });
    return writable ? kernel::CgroupControllers::All : kernel::CgroupControllers::Needed;
}

// The process that holds the scope open counts until init is there.
kernel::CgroupLimits with_placeholder(kernel::CgroupLimits limits) {
    if (limits.pids && *limits.pids > 0) {
        ++*limits.pids;
    }
    return limits;
}

// runc: a user's containers are in the user's own user.slice.
Result<kernel::SystemdUnit> unit_of(const CgroupRequest& request) {
    return kernel::parse_systemd_path(
        request.config.linux_.cgroups_path,
        request.id,
        kernel::systemd_is_the_users() ? "user.slice" : "system.slice");
}

Result<kernel::SystemdScope>
start_scope(const CgroupRequest& request, const kernel::CgroupLimits& limits) {
    const oci::RuntimeConfig& config = request.config;
    kernel::SystemdUnit unit = TRY(unit_of(request));
    const std::vector<kernel::DbusProperty> properties =
        TRY(systemd_properties(config.annotations));
    std::vector<kernel::CgroupDeviceRule> devices;
    if (config.linux_.resources) {
        devices = TRY(device_rules(config.linux_.resources->devices));
    }
    return kernel::SystemdScope::start(
        {.unit = std::move(unit),
         .description = "Berth container " + request.id,
         .limits = limits,
         .devices = devices,
         .properties = properties});
}

bool is_refusal(const Error& error) {
    const int number = error.error_number();
    return number == EACCES || number == EPERM || number == EROFS;
}

// runc: a user without rights on cgroups gets a container without one, but no limits.
Result<kernel::Cgroup> without_cgroup(Error refused, const kernel::CgroupLimits& limits) {
    if (limits != kernel::CgroupLimits{}) {
        return std::move(refused).with_context(
            "rootless needs no limits when no permission is granted for cgroups");
    }
    return kernel::Cgroup::none();
}

Result<kernel::Cgroup> make_directories_of(
    const CgroupRequest& request, const std::string& path, const kernel::CgroupLimits& limits) {
    Result<kernel::Cgroup> made = kernel::Cgroup::create(
        path,
        limits,
        controllers_for(request.config),
        request.systemd ? kernel::CgroupOwner::Systemd : kernel::CgroupOwner::Own);
    if (made.ok()) {
        return made;
    }
    if (made.error().kind() != ErrorKind::Conflict) {
        // Some of its directories may be there.
        Result<kernel::Cgroup> part = kernel::Cgroup::open(path);
        [[maybe_unused]] bool removed = part.ok() && part->remove().ok();
    }
    const bool optional = request.rights == CgroupRights::Optional ||
                          (request.rights == CgroupRights::Auto && kernel::in_user_namespace());
    return optional && is_refusal(made.error()) ? without_cgroup(std::move(made).error(), limits)
                                                : std::move(made);
}

} // namespace

bool systemd_moves_processes(const std::string& unit) {
    return !unit.empty() && kernel::systemd_is_the_users();
}

Result<void> ContainerCgroup::settle() {
    if (!scope) {
        return ok();
    }
    scope.reset();
    kernel::CgroupLimits pids;
    pids.pids = limits.pids;
    return cgroup.set_limits(pids);
}

Result<CgroupPlace> plan_cgroup(const CgroupRequest& request) {
    const std::string& path = request.config.linux_.cgroups_path;
    if (request.systemd) {
        TRY(systemd_properties(request.config.annotations));
        auto unit = TRY(unit_of(request));
        return CgroupPlace{.path = {}, .unit = std::move(unit.name)};
    }
    if (path.find(':') != std::string::npos) {
        return invalid_argument(
            "cgroupsPath \"" + path + "\" is for the systemd cgroup driver (--systemd-cgroup)");
    }
    return CgroupPlace{.path = path.empty() ? "/" + request.id : path, .unit = {}};
}

Result<ContainerCgroup> create_cgroup(const CgroupRequest& request, const CgroupPlace& place) {
    kernel::CgroupLimits limits;
    if (request.config.linux_.resources) {
        limits = TRY(cgroup_limits(*request.config.linux_.resources));
    }
    std::optional<kernel::SystemdScope> scope;
    std::string path = place.path;
    Rollback rollback;
    if (request.systemd) {
        scope = TRY(start_scope(request, limits));
        path = scope->cgroup_path();
        rollback.push([&place, &scope] {
            scope.reset();
            [[maybe_unused]] Result<void> done = kernel::stop_systemd_unit(place.unit);
        });
    }
    kernel::Cgroup cgroup = TRY(make_directories_of(request, path, limits));
    // A copy: the undo runs after this variable is gone.
    rollback.push([cgroup] { [[maybe_unused]] Result<void> done = cgroup.remove(); });
    if (!cgroup.directories().empty()) {
        TRY_CONTEXT(
            cgroup.set_limits(request.systemd ? with_placeholder(limits) : limits),
            "cgroup limits");
    }
    rollback.commit();
    return ContainerCgroup{
        .cgroup = std::move(cgroup), .limits = std::move(limits), .scope = std::move(scope)};
}

Result<void>
update_cgroup(kernel::Cgroup& cgroup, const std::string& unit, const oci::Resources& resources) {
    kernel::CgroupLimits limits = TRY(cgroup_limits(resources));
    std::vector<kernel::CgroupDeviceRule> devices = TRY(device_rules(resources.devices));
    if (!unit.empty()) {
        std::vector<kernel::DbusProperty> properties = kernel::systemd_limits(limits);
        if (!devices.empty()) {
            for (kernel::DbusProperty& property : kernel::systemd_devices(devices)) {
                properties.push_back(std::move(property));
            }
        }
        TRY(kernel::update_systemd_unit(unit, properties));
    }
    TRY(cgroup.set_limits(limits));
    return devices.empty() ? ok() : cgroup.set_device_rules(devices);
}

Result<void> remove_cgroup(const kernel::Cgroup& cgroup, const std::string& unit) {
    if (!unit.empty()) {
        TRY(kernel::stop_systemd_unit(unit));
    }
    return cgroup.remove();
}

} // namespace berth::runtime
