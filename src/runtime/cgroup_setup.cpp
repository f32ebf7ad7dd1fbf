// SPDX-License-Identifier: Apache-2.0
// systemd gets what it has words for, and the files get everything: its words are coarser.
#include "runtime/cgroup_setup.h"

#include "base/rollback.h"
#include "kernel/dbus_connection.h"
#include "kernel/id_mapping.h"
#include "runtime/cgroup_resources.h"
#include "runtime/systemd_annotations.h"

#include <algorithm>
#include <cerrno>

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
    const bool users = kernel::systemd_is_the_users();
    const std::string& path = request.config.linux_.cgroups_path;
    kernel::SystemdUnit unit =
        TRY(kernel::parse_systemd_path(path, request.id, users ? "user.slice" : "system.slice"));
    if (users && unit.is_slice()) {
        return Error(
            ErrorKind::Unavailable,
            "cgroupsPath \"" + path +
                "\": a user's systemd moves no processes into a slice unit, only into scopes");
    }
    if (users && TRY(kernel::cgroup_layout())->mode != kernel::CgroupMode::Version2) {
        return Error(
            ErrorKind::Unavailable,
            "a user's systemd has the controllers of cgroup version 2 alone; this machine has them "
            "on version 1");
    }
    return unit;
}

kernel::CgroupOwner owner_of(const CgroupRequest& request, const CgroupPlace& place) {
    if (!request.systemd) {
        return kernel::CgroupOwner::Own;
    }
    return place.unit.ends_with(".slice") ? kernel::CgroupOwner::SystemdSlice
                                          : kernel::CgroupOwner::SystemdScope;
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

// place.path is known by now.
Result<kernel::Cgroup> make_directories_of(
    const CgroupRequest& request, const CgroupPlace& place, const kernel::CgroupLimits& limits) {
    const std::string& path = place.path;
    const kernel::CgroupControllers controllers = controllers_for(request.config);
    if (request.made != nullptr && request.made->path() == path &&
        limits == kernel::CgroupLimits{} && controllers == kernel::CgroupControllers::Needed) {
        return *request.made;
    }
    Result<kernel::Cgroup> made =
        kernel::Cgroup::create(path, limits, controllers, owner_of(request, place));
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

// Whenever one property is set, systemd writes all files of a unit in version 1: its rules for
// devices too, which are coarser than ours, and for a moment refuse everything. The processes wait
// meanwhile, and ours follow.
Result<void> tell_systemd(
    const CgroupUpdate& update,
    kernel::Cgroup& cgroup,
    const std::vector<kernel::DbusProperty>& properties) {
    if (properties.empty() || cgroup.device_rules_are_atomic()) {
        return kernel::update_systemd_unit(update.unit, properties);
    }
    const std::vector<kernel::CgroupDeviceRule> rules =
        TRY(device_rules(update.configured.devices));
    const bool waits = !cgroup.frozen();
    if (waits) {
        TRY(cgroup.freeze());
    }
    Result<void> told = kernel::update_systemd_unit(update.unit, properties);
    Result<void> restored = cgroup.set_device_rules(rules);
    if (waits) {
        TRY(cgroup.thaw());
    }
    TRY(std::move(told));
    // Where the container has made groups the kernel takes no rule for everything, systemd's
    // neither.
    return restored.ok() || restored.error().error_number() == EINVAL ? ok() : std::move(restored);
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
    CgroupPlace known = place;
    Rollback rollback;
    if (request.systemd) {
        scope = TRY(start_scope(request, limits));
        known.path = scope->cgroup_path();
        rollback.push([&place, &scope] {
            scope.reset();
            [[maybe_unused]] Result<void> done = kernel::stop_systemd_unit(place.unit);
        });
    }
    kernel::Cgroup cgroup = TRY(make_directories_of(request, known, limits));
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

Result<void> update_cgroup(kernel::Cgroup& cgroup, const CgroupUpdate& update) {
    kernel::CgroupLimits limits = TRY(cgroup_limits(update.resources));
    std::vector<kernel::CgroupDeviceRule> devices = TRY(device_rules(update.resources.devices));
    if (!update.unit.empty()) {
        const kernel::CgroupMode mode = TRY(kernel::cgroup_layout())->mode;
        std::vector<kernel::DbusProperty> properties = kernel::systemd_limits(limits, mode);
        if (!update.resources.devices.empty()) {
            for (kernel::DbusProperty& property : kernel::systemd_devices(devices)) {
                properties.push_back(std::move(property));
            }
        }
        TRY(tell_systemd(update, cgroup, properties));
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
