// SPDX-License-Identifier: Apache-2.0
// Options of an OCI mount: what is an attribute of the mount, what goes to the file system.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md#linux-mount-options
#pragma once

#include "base/result.h"
#include "kernel/mount.h"

#include <cstdint>
#include <string>
#include <vector>

namespace berth::runtime {

struct Propagation {
    std::uint64_t type = 0; // MS_SHARED, …
    kernel::Recursive recursive = kernel::Recursive::No;
};

struct MountOptions {
    bool bind = false;
    kernel::Recursive recursive_bind = kernel::Recursive::No;
    std::uint64_t attributes = 0;           // MOUNT_ATTR_*
    bool sets_access_time = false;          // one of the atime family was named
    std::uint64_t recursive_attributes = 0; // "rro" and its kin
    std::vector<Propagation> propagation;
    std::vector<kernel::MountParameter> parameters; // of the file system
};

// NotImplemented for options that would change what the container sees and that we lack.
Result<MountOptions> parse_mount_options(const std::vector<std::string>& options);

} // namespace berth::runtime
