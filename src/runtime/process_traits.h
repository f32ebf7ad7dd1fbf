// SPDX-License-Identifier: Apache-2.0
// How a process is scheduled and what machine it believes to be on: process.scheduler, ioPriority
// and execCPUAffinity, linux.personality and memoryPolicy. Names become numbers before the clone,
// so that an error can name the member.
#pragma once

#include "base/result.h"
#include "kernel/scheduling.h"
#include "oci/runtime_config.h"

#include <optional>

#include <sys/types.h>

namespace berth::runtime {

struct IoPriority {
    int priority_class = 0;
    int priority = 0;
};

struct MemoryPolicy {
    int mode = 0; // with flags
    kernel::BitMask nodes;
};

struct ProcessTraits {
    std::optional<kernel::SchedulerAttributes> scheduler;
    std::optional<IoPriority> io_priority;
    std::optional<unsigned long> personality;
    std::optional<MemoryPolicy> memory_policy;
    // Only a process that joins a container has these.
    kernel::BitMask initial_cpus;
    kernel::BitMask final_cpus;
};

Result<ProcessTraits> process_traits(const oci::Process& process, const oci::Linux& linux_object);

// scheduler and io_priority, which may need the host's rights. 0 is the caller.
Result<void> apply_scheduling(pid_t pid, const ProcessTraits& traits);

// personality and memory_policy of the caller.
Result<void> apply_machine(const ProcessTraits& traits);

} // namespace berth::runtime
