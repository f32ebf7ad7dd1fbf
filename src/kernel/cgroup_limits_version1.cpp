// SPDX-License-Identifier: Apache-2.0
// Limits as files of version 1.
// https://docs.kernel.org/admin-guide/cgroup-v1/
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup_files.h"

#include <cerrno>

namespace berth::kernel::cgroup_files {

namespace {

// The kernel has these files still, but since Linux 5.16 what is written to the first of them has
// no effect; then it keeps its old number.
Result<void> limit_kernel_memory(
    const std::string& directory, std::string_view file, const std::optional<std::int64_t>& limit) {
    if (!limit) {
        return ok();
    }
    TRY(write_if(directory, file, limit));
    std::optional<std::uint64_t> now = TRY(read_number(directory, file));
    // The kernel rounds down to pages.
    constexpr std::uint64_t page = 65536;
    if (*limit >= 0 && now && *now > static_cast<std::uint64_t>(*limit) + page) {
        return Error(
            ErrorKind::Unavailable,
            "the kernel does not limit kernel memory: " + directory + "/" + std::string(file) +
                " has no effect");
    }
    return ok();
}

Result<void> set_hierarchy(const std::string& directory, const CgroupLimits& limits) {
    constexpr std::string_view file = "memory.use_hierarchy";
    if (!limits.memory_hierarchy) {
        return ok();
    }
    std::optional<std::uint64_t> now = TRY(read_number(directory, file));
    const std::uint64_t wanted = *limits.memory_hierarchy ? 1 : 0;
    return now == wanted ? ok() : write_file(directory, file, std::to_string(wanted));
}

Result<void> limit_memory_version1(const std::string& directory, const CgroupLimits& limits) {
    constexpr std::string_view memory_file = "memory.limit_in_bytes";
    constexpr std::string_view swap_file = "memory.memsw.limit_in_bytes";
    TRY(set_hierarchy(directory, limits));
    std::optional<std::int64_t> together = limits.memory_and_swap;
    if (!together && limits.memory == -1 &&
        berth::exists(directory + "/" + std::string(swap_file))) {
        together = -1;
    }
    // "memory and swap" may never be below "memory": which one goes first depends on the
    // direction.
    bool swap_first = false;
    if (limits.memory && together) {
        std::optional<std::uint64_t> now = TRY(read_number(directory, swap_file));
        swap_first = *together < 0 || (now && *now < static_cast<std::uint64_t>(*together));
    }
    if (swap_first) {
        TRY(write_if(directory, swap_file, together));
    }
    Result<void> set = write_if(directory, memory_file, limits.memory);
    if (!set.ok() && set.error().error_number() == EBUSY) {
        std::uint64_t usage = TRY(read_number(directory, "memory.usage_in_bytes")).value_or(0);
        return invalid_argument(
            "unable to set memory limit to " + std::to_string(*limits.memory) +
            " (current usage: " + std::to_string(usage) + ")");
    }
    TRY(std::move(set));
    if (!swap_first) {
        TRY(write_if(directory, swap_file, together));
    }
    TRY(write_if(directory, "memory.soft_limit_in_bytes", limits.memory_reservation));
    TRY(limit_kernel_memory(directory, "memory.kmem.limit_in_bytes", limits.memory_kernel));
    TRY(limit_kernel_memory(directory, "memory.kmem.tcp.limit_in_bytes", limits.memory_kernel_tcp));
    TRY(write_if(directory, "memory.swappiness", limits.swappiness));
    if (limits.disable_oom_killer) {
        TRY(write_file(directory, "memory.oom_control", *limits.disable_oom_killer ? "1" : "0"));
    }
    return ok();
}

Result<void> limit_cpu_version1(const std::string& directory, const CgroupLimits& limits) {
    // An idle group has no shares to set.
    if (limits.cpu_idle == 0) {
        TRY(write_if(directory, "cpu.idle", limits.cpu_idle));
    }
    TRY(write_if(directory, "cpu.shares", limits.cpu_shares));
    if (limits.cpu_idle == 1) {
        TRY(write_if(directory, "cpu.idle", limits.cpu_idle));
    }
    // A runtime that is too large for the old period is refused, and the other way round.
    Result<void> realtime = write_if(directory, "cpu.rt_period_us", limits.cpu_realtime_period);
    TRY(write_if(directory, "cpu.rt_runtime_us", limits.cpu_realtime_runtime));
    if (!realtime.ok()) {
        TRY(write_if(directory, "cpu.rt_period_us", limits.cpu_realtime_period));
    }
    return with_burst(directory, "cpu.cfs_burst_us", limits.cpu_burst, [&]() -> Result<void> {
        // A quota that is too small for the old period is refused, and the other way round. Each
        // write lets the kernel walk through the groups of all containers, so none says what is
        // true.
        Result<std::optional<std::uint64_t>> now = read_number(directory, "cpu.cfs_period_us");
        const bool same = limits.cpu_period && now.ok() && *now == *limits.cpu_period;
        Result<void> period =
            same ? ok() : write_if(directory, "cpu.cfs_period_us", limits.cpu_period);
        TRY(write_if(directory, "cpu.cfs_quota_us", limits.cpu_quota));
        return period.ok() ? ok() : write_if(directory, "cpu.cfs_period_us", limits.cpu_period);
    });
}

// The scheduler that knows weights is bfq; cfq had the same files without "bfq." before Linux 5.0,
// and those for leaves.
Result<void>
set_weight(const std::string& directory, const std::string& file, const std::string& text) {
    std::string bfq = "bfq." + file;
    return write_file(
        directory, "blkio." + (berth::exists(directory + "/blkio." + bfq) ? bfq : file), text);
}

Result<void> limit_block_version1(const std::string& directory, const CgroupLimits& limits) {
    if (limits.block_weight) {
        TRY(set_weight(directory, "weight", std::to_string(*limits.block_weight)));
    }
    TRY(write_if(directory, "blkio.leaf_weight", limits.block_leaf_weight));
    auto each = [&](const std::vector<CgroupThrottle>& list,
                    const std::function<Result<void>(const std::string&)>& write) -> Result<void> {
        for (const CgroupThrottle& entry : list) {
            TRY(write(device_text(entry) + " " + std::to_string(entry.rate)));
        }
        return ok();
    };
    auto to_file = [&directory](std::string file) {
        return [&directory, file = std::move(file)](const std::string& text) {
            return write_file(directory, file, text);
        };
    };
    TRY(each(limits.block_weight_devices, [&](const std::string& text) {
        return set_weight(directory, "weight_device", text);
    }));
    TRY(each(limits.block_leaf_weight_devices, to_file("blkio.leaf_weight_device")));
    TRY(each(limits.read_bps, to_file("blkio.throttle.read_bps_device")));
    TRY(each(limits.write_bps, to_file("blkio.throttle.write_bps_device")));
    TRY(each(limits.read_iops, to_file("blkio.throttle.read_iops_device")));
    return each(limits.write_iops, to_file("blkio.throttle.write_iops_device"));
}

Result<void> limit_network(
    const std::string& directory, const std::string& controller, const CgroupLimits& limits) {
    if (controller == "net_cls") {
        return write_if(directory, "net_cls.classid", limits.network_class);
    }
    for (const auto& [interface, priority] : limits.network_priorities) {
        TRY(write_file(
            directory, "net_prio.ifpriomap", interface + " " + std::to_string(priority)));
    }
    return ok();
}

Result<void> limit_controller(
    const std::string& controller, const std::string& directory, const CgroupLimits& limits) {
    if (controller == "memory") {
        return limit_memory_version1(directory, limits);
    }
    if (controller == "cpu") {
        return limit_cpu_version1(directory, limits);
    }
    if (controller == "cpuset") {
        return limit_cpuset(directory, limits);
    }
    if (controller == "pids") {
        return write_file(directory, "pids.max", pids_text(*limits.pids));
    }
    if (controller == "blkio") {
        return limit_block_version1(directory, limits);
    }
    if (controller == "hugetlb") {
        return limit_huge_pages(directory, ".limit_in_bytes", limits);
    }
    if (controller == "rdma") {
        return limit_rdma(directory, limits);
    }
    return limit_network(directory, controller, limits);
}

} // namespace

Result<void>
limit_version1(const std::map<std::string, std::string>& directories, const CgroupLimits& limits) {
    TRY(check_limits(limits));
    for (const std::string& controller : needed_controllers(limits)) {
        auto found = directories.find(controller);
        if (found == directories.end()) {
            return Error(
                ErrorKind::Unavailable, "this machine has no cgroup controller " + controller);
        }
        TRY(blame_refused(limit_controller(controller, found->second, limits)));
    }
    return ok();
}

} // namespace berth::kernel::cgroup_files
