// SPDX-License-Identifier: Apache-2.0
// The combinations that make no sense are refused as runc refuses them; the rest is the kernel's to
// say.
#include "runtime/process_traits.h"

#include <linux/mempolicy.h>
#include <linux/sched.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include <sys/personality.h>

namespace berth::runtime {

namespace {

// Newer than the headers of the oldest system that we build on.
constexpr int mpol_weighted_interleave = 6;
constexpr int sched_iso = 4; // reserved by the kernel, which refuses it

// linux/ioprio.h is no C++.
constexpr int ioprio_class_rt = 1;
constexpr int ioprio_class_be = 2;
constexpr int ioprio_class_idle = 3;

template <class Number>
struct Name {
    std::string_view name;
    Number number;
};

constexpr auto policies = std::to_array<Name<std::uint32_t>>(
    {{"SCHED_OTHER", SCHED_NORMAL},
     {"SCHED_FIFO", SCHED_FIFO},
     {"SCHED_RR", SCHED_RR},
     {"SCHED_BATCH", SCHED_BATCH},
     {"SCHED_ISO", sched_iso},
     {"SCHED_IDLE", SCHED_IDLE},
     {"SCHED_DEADLINE", SCHED_DEADLINE}});

constexpr auto scheduler_flags = std::to_array<Name<std::uint64_t>>(
    {{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
     {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
     {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
     {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
     {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
     {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
     {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX}});

constexpr auto io_classes = std::to_array<Name<int>>(
    {{"IOPRIO_CLASS_RT", ioprio_class_rt},
     {"IOPRIO_CLASS_BE", ioprio_class_be},
     {"IOPRIO_CLASS_IDLE", ioprio_class_idle}});

constexpr auto personalities =
    std::to_array<Name<unsigned long>>({{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}});

constexpr auto memory_modes = std::to_array<Name<int>>(
    {{"MPOL_DEFAULT", MPOL_DEFAULT},
     {"MPOL_BIND", MPOL_BIND},
     {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
     {"MPOL_WEIGHTED_INTERLEAVE", mpol_weighted_interleave},
     {"MPOL_PREFERRED", MPOL_PREFERRED},
     {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
     {"MPOL_LOCAL", MPOL_LOCAL}});

constexpr auto memory_flags = std::to_array<Name<int>>(
    {{"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
     {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
     {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES}});

template <class Table>
auto number_of(const Table& table, std::string_view name, const std::string& member)
    -> Result<decltype(table[0].number)> {
    for (const auto& entry : table) {
        if (entry.name == name) {
            return entry.number;
        }
    }
    return invalid_argument(member + ": unknown value \"" + std::string(name) + "\"");
}

template <class Number, class Table>
Result<Number>
sum_of(const Table& table, const std::vector<std::string>& names, const std::string& member) {
    Number sum = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        sum |= TRY(number_of(table, names[i], member + "[" + std::to_string(i) + "]"));
    }
    return sum;
}

Result<kernel::SchedulerAttributes> scheduler_of(const oci::Scheduler& scheduler) {
    const std::string member = "process.scheduler.";
    const auto policy = TRY(number_of(policies, scheduler.policy, member + "policy"));
    const auto flags =
        TRY(sum_of<std::uint64_t>(scheduler_flags, scheduler.flags, member + "flags"));
    kernel::SchedulerAttributes attributes{
        .policy = policy,
        .flags = flags,
        .nice = scheduler.nice,
        .priority = static_cast<std::uint32_t>(scheduler.priority),
        .runtime = scheduler.runtime,
        .deadline = scheduler.deadline,
        .period = scheduler.period};
    constexpr int lowest_nice = -20;
    constexpr int highest_nice = 19;
    if (scheduler.nice < lowest_nice || scheduler.nice > highest_nice) {
        return invalid_argument(member + "nice: must be -20 to 19");
    }
    const bool real_time = attributes.policy == SCHED_FIFO || attributes.policy == SCHED_RR;
    if (scheduler.priority < 0 || (scheduler.priority != 0 && !real_time)) {
        return invalid_argument(
            member + "priority: only SCHED_FIFO and SCHED_RR have one, of 1 and above");
    }
    if (attributes.policy != SCHED_DEADLINE &&
        (scheduler.runtime != 0 || scheduler.deadline != 0 || scheduler.period != 0)) {
        return invalid_argument(
            member + "runtime, deadline and period are only for SCHED_DEADLINE");
    }
    return attributes;
}

Result<IoPriority> io_priority_of(const oci::IoPriority& priority) {
    constexpr int lowest = 7;
    IoPriority made{
        .priority_class = TRY(number_of(io_classes, priority.io_class, "process.ioPriority.class")),
        .priority = priority.priority};
    if (priority.priority < 0 || priority.priority > lowest) {
        return invalid_argument("process.ioPriority.priority: must be 0 to 7");
    }
    return made;
}

Result<MemoryPolicy> memory_policy_of(const oci::MemoryPolicy& policy) {
    const std::string member = "linux.memoryPolicy.";
    int mode = TRY(number_of(memory_modes, policy.mode, member + "mode"));
    mode |= TRY(sum_of<int>(memory_flags, policy.flags, member + "flags"));
    auto nodes = TRY_CONTEXT(kernel::parse_bit_list(policy.nodes), member + "nodes");
    return MemoryPolicy{.mode = mode, .nodes = std::move(nodes)};
}

} // namespace

Result<ProcessTraits> process_traits(const oci::Process& process, const oci::Linux& linux_object) {
    ProcessTraits traits;
    if (process.scheduler) {
        traits.scheduler = TRY(scheduler_of(*process.scheduler));
    }
    if (process.io_priority) {
        traits.io_priority = TRY(io_priority_of(*process.io_priority));
    }
    if (process.exec_cpu_affinity) {
        const std::string member = "process.execCPUAffinity.";
        traits.initial_cpus = TRY_CONTEXT(
            kernel::parse_bit_list(process.exec_cpu_affinity->initial), member + "initial");
        traits.final_cpus =
            TRY_CONTEXT(kernel::parse_bit_list(process.exec_cpu_affinity->final), member + "final");
    }
    if (linux_object.personality) {
        const oci::Personality& personality = *linux_object.personality;
        traits.personality =
            TRY(number_of(personalities, personality.domain, "linux.personality.domain"));
        // The specification names no flag yet.
        if (!personality.flags.empty()) {
            return invalid_argument(
                "linux.personality.flags[0]: unknown value \"" + personality.flags[0] + "\"");
        }
    }
    if (linux_object.memory_policy) {
        traits.memory_policy = TRY(memory_policy_of(*linux_object.memory_policy));
    }
    return traits;
}

Result<void> apply_scheduling(pid_t pid, const ProcessTraits& traits) {
    if (traits.scheduler) {
        TRY_CONTEXT(kernel::set_scheduler(pid, *traits.scheduler), "process.scheduler");
    }
    if (traits.io_priority) {
        TRY_CONTEXT(
            kernel::set_io_priority(
                pid, traits.io_priority->priority_class, traits.io_priority->priority),
            "process.ioPriority");
    }
    return ok();
}

Result<void> apply_machine(const ProcessTraits& traits) {
    if (traits.memory_policy) {
        Result<void> set =
            kernel::set_memory_policy(traits.memory_policy->mode, traits.memory_policy->nodes);
        if (!set.ok()) {
            return set.error().error_number() == ENOSYS
                       ? Error(
                             ErrorKind::Unavailable,
                             "linux.memoryPolicy: this kernel has no NUMA memory policies")
                       : std::move(set).error().with_context("linux.memoryPolicy");
        }
    }
    if (traits.personality && ::personality(*traits.personality) < 0) {
        return errno_error("linux.personality");
    }
    return ok();
}

} // namespace berth::runtime
