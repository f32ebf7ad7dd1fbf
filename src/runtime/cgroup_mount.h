// SPDX-License-Identifier: Apache-2.0
// /sys/fs/cgroup inside of a container: only its own groups, whatever version the host has.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/cgroup.h"

#include <cstdint>
#include <vector>

namespace berth::runtime {

struct CgroupMountOptions {
    const kernel::Cgroup& cgroup;
    bool own_namespace = false;
    std::uint64_t attributes = 0; // MOUNT_ATTR_*
};

// Mounts that become read-only at the end of the set-up.
Result<std::vector<UniqueFd>> mount_cgroups(FdRef target, const CgroupMountOptions& options);

} // namespace berth::runtime
