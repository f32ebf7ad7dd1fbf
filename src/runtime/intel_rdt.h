// SPDX-License-Identifier: Apache-2.0
// linux.intelRdt: a class of service of the resctrl file system, for cache and memory bandwidth.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#intelrdt
#pragma once

#include "base/result.h"
#include "oci/runtime_linux.h"

#include <optional>
#include <string>

#include <sys/types.h>

namespace berth::runtime {

// Directories of the resctrl file system. Only what was made for the container is named, because
// only that is removed with it.
struct RdtGroup {
    std::string tasks; // directory that init joins; empty: none is asked for
    std::string made_group;
    std::string made_monitor;
};

// InvalidArgument for identities and schemata that are none.
Result<void> check_intel_rdt(const std::optional<oci::IntelRdt>& rdt);

// Unavailable when the kernel has no resctrl mounted. An error leaves nothing behind.
Result<RdtGroup>
make_rdt_group(const std::optional<oci::IntelRdt>& rdt, const std::string& container_id);
Result<void> join_rdt_group(const RdtGroup& group, pid_t pid);
void remove_rdt_group(const std::string& made_group, const std::string& made_monitor);

} // namespace berth::runtime
