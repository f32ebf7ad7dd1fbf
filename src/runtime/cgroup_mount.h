// SPDX-License-Identifier: Apache-2.0
// /sys/fs/cgroup inside of a container: only its own groups, whatever version the host has.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/cgroup.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::runtime {

// The container's groups as detached mounts, by their directories on the host.
using GroupMounts = std::map<std::string, UniqueFd>;

struct GroupsWanted {
    bool is_unified = false; // a mount of type cgroup2
    bool own_namespace = false;
    std::uint64_t attributes = 0; // MOUNT_ATTR_*
};

// Before the clone: init may not see the host's /sys. None that will not be attached: the kernel
// takes such a mount apart when the container's program begins, which waits for that.
Result<GroupMounts> prepare_groups(const kernel::Cgroup& cgroup, const GroupsWanted& wanted);

// One of them, or, without them, what is seen at its directory now.
Result<UniqueFd> bind_group(
    const std::optional<GroupMounts>& groups,
    const std::string& directory,
    std::uint64_t attributes);

struct CgroupMountOptions {
    const kernel::Cgroup& cgroup;
    const std::optional<GroupMounts>& groups;
    bool own_namespace = false;
    std::uint64_t attributes = 0; // MOUNT_ATTR_*
};

// Mounts that become read-only at the end of the set-up.
Result<std::vector<UniqueFd>> mount_cgroups(FdRef target, const CgroupMountOptions& options);

} // namespace berth::runtime
