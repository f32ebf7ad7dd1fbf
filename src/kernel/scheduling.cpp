// SPDX-License-Identifier: Apache-2.0
// Raw system calls: the C library has no wrapper for most of them.
#include "kernel/scheduling.h"

#include "base/strings.h"

#include <linux/sched/types.h>

#include <climits>

#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

// linux/ioprio.h is no C++.
constexpr int ioprio_who_process = 1;
constexpr int ioprio_class_shift = 13;

constexpr std::size_t max_listed = 8192;
constexpr std::size_t word_bits = 64;

} // namespace

Result<void> set_scheduler(pid_t pid, const SchedulerAttributes& attributes) {
    sched_attr raw{};
    raw.size = sizeof raw;
    raw.sched_policy = attributes.policy;
    raw.sched_flags = attributes.flags;
    raw.sched_nice = attributes.nice;
    raw.sched_priority = attributes.priority;
    raw.sched_runtime = attributes.runtime;
    raw.sched_deadline = attributes.deadline;
    raw.sched_period = attributes.period;
    if (::syscall(SYS_sched_setattr, pid, &raw, 0) < 0) {
        return errno_error("sched_setattr");
    }
    return ok();
}

Result<void> set_io_priority(pid_t pid, int priority_class, int priority) {
    if (::syscall(
            SYS_ioprio_set,
            ioprio_who_process,
            pid,
            priority_class << ioprio_class_shift | priority) < 0) {
        return errno_error("ioprio_set");
    }
    return ok();
}

Result<BitMask> parse_bit_list(std::string_view text) {
    BitMask mask;
    for (std::string_view part : split(text, ',')) {
        part = trim(part);
        if (part.empty()) {
            continue;
        }
        std::optional<Cut> range = cut(part, "-");
        auto first = TRY(parse_number<std::size_t>(range ? trim(range->before) : part));
        auto last = range ? TRY(parse_number<std::size_t>(trim(range->after))) : first;
        if (first > last || last >= max_listed) {
            return invalid_argument("\"" + std::string(part) + "\" is not a range of numbers");
        }
        if (mask.size() <= last / word_bits) {
            mask.resize(last / word_bits + 1);
        }
        for (std::size_t number = first; number <= last; ++number) {
            mask[number / word_bits] |= std::uint64_t{1} << (number % word_bits);
        }
    }
    return mask;
}

Result<void> set_cpu_affinity(const BitMask& cpus) {
    if (::syscall(SYS_sched_setaffinity, 0, cpus.size() * sizeof cpus[0], cpus.data()) < 0) {
        return errno_error("sched_setaffinity");
    }
    return ok();
}

Result<void> set_memory_policy(int mode, const BitMask& nodes) {
    // The kernel takes one bit less than it is told.
    const std::size_t bits = nodes.empty() ? 0 : nodes.size() * word_bits + 1;
    if (::syscall(SYS_set_mempolicy, mode, nodes.empty() ? nullptr : nodes.data(), bits) < 0) {
        return errno_error("set_mempolicy");
    }
    return ok();
}

} // namespace berth::kernel
