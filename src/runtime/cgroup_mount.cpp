// SPDX-License-Identifier: Apache-2.0
// Version 1: a tmpfs with a directory for each controller, at which the container's group of the
// host is bound; in its cgroup namespace a container sees that as the root. Version 2: with such a
// namespace the file system is mounted anew.
#include "runtime/cgroup_mount.h"

#include "base/strings.h"
#include "kernel/mount.h"
#include "kernel/path.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::uint64_t readonly_attribute = MOUNT_ATTR_RDONLY;

Result<UniqueFd> unified_mount(const CgroupMountOptions& options, const std::string& directory) {
    if (options.own_namespace) {
        return kernel::make_mount("cgroup2", "cgroup", {}, options.attributes);
    }
    return bind_group(options.groups, directory, options.attributes);
}

// "cpu,cpuacct" is one hierarchy with two names.
std::vector<kernel::MountParameter> controllers_of(const std::string& mount_point) {
    std::vector<kernel::MountParameter> parameters;
    const std::string names = mount_point.substr(mount_point.rfind('/') + 1);
    if (names == "systemd") {
        return {{"none", ""}, {"name", names}};
    }
    for (std::string_view name : split(names, ',')) {
        parameters.push_back({std::string(name), ""});
    }
    return parameters;
}

const std::string*
mount_point_of(const kernel::CgroupLayout& layout, const std::string& controller) {
    if (controller == kernel::systemd_hierarchy) {
        return &layout.named_systemd;
    }
    auto found = layout.controllers.find(controller);
    return found == layout.controllers.end() ? nullptr : &found->second;
}

Result<void> mount_controller(
    FdRef directory,
    const CgroupMountOptions& options,
    const std::string& mount_point,
    const std::string& group) {
    const std::string name = mount_point.substr(mount_point.rfind('/') + 1);
    if (::mkdirat(directory.get(), name.c_str(), 0755) < 0 && errno != EEXIST) {
        return errno_error("make directory " + name);
    }
    UniqueFd place = TRY(
        kernel::open_in_root(directory, name, O_PATH | O_DIRECTORY, 0, kernel::FollowLinks::Never));
    // Not mounted anew, which looks the same: at each such mount the kernel walks through all
    // groups of the machine.
    Result<UniqueFd> mount = bind_group(options.groups, group, options.attributes);
    if (!mount.ok() && options.own_namespace) { // what the host has there is out of sight
        mount =
            kernel::make_mount("cgroup", "cgroup", controllers_of(mount_point), options.attributes);
    }
    return kernel::attach_mount(TRY(std::move(mount)), place);
}

// An engine in a container that may write to its groups finds the machine's layout again.
bool has_unified_beside(const kernel::CgroupLayout& layout, std::uint64_t attributes) {
    return !layout.unified.empty() && (attributes & readonly_attribute) == 0;
}

Result<void>
mount_unified_beside(FdRef directory, const CgroupMountOptions& options, const std::string& group) {
    constexpr const char* name = "unified";
    if (::mkdirat(directory.get(), name, 0755) < 0 && errno != EEXIST) {
        return errno_error("make directory unified");
    }
    UniqueFd place = TRY(
        kernel::open_in_root(directory, name, O_PATH | O_DIRECTORY, 0, kernel::FollowLinks::Never));
    UniqueFd mount = TRY(unified_mount(options, group));
    return kernel::attach_mount(mount, place);
}

} // namespace

Result<GroupMounts> prepare_groups(const kernel::Cgroup& cgroup, const GroupsWanted& wanted) {
    GroupMounts groups;
    const kernel::CgroupLayout& layout = *TRY(kernel::cgroup_layout());
    const bool one = wanted.is_unified || layout.mode == kernel::CgroupMode::Version2;
    if (one && wanted.own_namespace) {
        return groups; // it is mounted anew
    }
    const bool with_unified = one || has_unified_beside(layout, wanted.attributes);
    for (const auto& [controller, directory] : cgroup.directories()) {
        const bool is_wanted = controller.empty() ? with_unified : !one;
        if (is_wanted && !groups.contains(directory)) {
            groups.emplace(directory, TRY(kernel::clone_mount(directory, kernel::Recursive::No)));
        }
    }
    return groups;
}

Result<UniqueFd> bind_group(
    const std::optional<GroupMounts>& groups,
    const std::string& directory,
    std::uint64_t attributes) {
    UniqueFd mount = groups ? TRY(groups->at(directory).duplicate())
                            : TRY(kernel::clone_mount(directory, kernel::Recursive::No));
    TRY(kernel::set_mount_attributes(
        mount, {.set = attributes, .propagation = MS_PRIVATE}, kernel::Recursive::No));
    return mount;
}

Result<std::vector<UniqueFd>> mount_cgroups(FdRef target, const CgroupMountOptions& options) {
    const kernel::CgroupLayout& layout = *TRY(kernel::cgroup_layout());
    std::vector<UniqueFd> make_readonly;
    const auto& directories = options.cgroup.directories();
    if (layout.mode == kernel::CgroupMode::Version2) {
        UniqueFd mount = TRY(unified_mount(options, directories.at("")));
        TRY(kernel::attach_mount(mount, target));
        return make_readonly;
    }
    UniqueFd tree = TRY(kernel::make_mount(
        "tmpfs", "tmpfs", {{"mode", "755"}}, options.attributes & ~readonly_attribute));
    TRY(kernel::attach_mount(tree, target));
    std::string last;
    for (const auto& [controller, group] : directories) {
        const std::string* mount_point = mount_point_of(layout, controller);
        // Groups that the container is not in would show other containers' names.
        if (mount_point == nullptr) {
            continue;
        }
        const std::string name = mount_point->substr(mount_point->rfind('/') + 1);
        if (*mount_point != last) {
            TRY(mount_controller(tree, options, *mount_point, group));
            last = *mount_point;
        }
        if (name != controller && controller != kernel::systemd_hierarchy &&
            ::symlinkat(name.c_str(), tree.get(), controller.c_str()) < 0 && errno != EEXIST) {
            return errno_error("link " + controller);
        }
    }
    if ((options.attributes & readonly_attribute) != 0) {
        make_readonly.push_back(std::move(tree));
    } else if (has_unified_beside(layout, options.attributes)) {
        TRY(mount_unified_beside(tree, options, directories.at("")));
    }
    return make_readonly;
}

} // namespace berth::runtime
