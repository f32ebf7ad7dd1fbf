// SPDX-License-Identifier: Apache-2.0
// When and where a process runs: scheduling policy, I/O priority, CPUs, NUMA memory policy.
// sched_setattr(2), ioprio_set(2), sched_setaffinity(2), set_mempolicy(2).
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace berth::kernel {

// The kernel's sched_attr.
struct SchedulerAttributes {
    std::uint32_t policy = 0; // SCHED_*
    std::uint64_t flags = 0;  // SCHED_FLAG_*
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0; // nanoseconds
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
};

// Of process `pid`; 0 is the caller.
Result<void> set_scheduler(pid_t pid, const SchedulerAttributes& attributes);
Result<void> set_io_priority(pid_t pid, int priority_class, int priority);

// A set of small numbers as the kernel takes it: bit n of word n / 64.
using BitMask = std::vector<std::uint64_t>;

// "0-3,7"; InvalidArgument for other texts and for numbers of 8192 and above.
Result<BitMask> parse_bit_list(std::string_view text);

// Of the calling thread.
Result<void> set_cpu_affinity(const BitMask& cpus);

// Of the calling thread; `mode` is MPOL_* with its flags.
Result<void> set_memory_policy(int mode, const BitMask& nodes);

} // namespace berth::kernel
