// SPDX-License-Identifier: Apache-2.0
// Limits as files of version 2. What only version 1 has is an error that names it.
// https://docs.kernel.org/admin-guide/cgroup-v2.html
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup_files.h"

#include <cerrno>

namespace berth::kernel::cgroup_files {

namespace {

std::string number_or_max(std::int64_t number) {
    return number < 0 ? "max" : std::to_string(number);
}

Result<void> refuse_version1(const CgroupLimits& limits) {
    const std::pair<bool, const char*> only_version1[] = {
        {limits.swappiness.has_value(), "memory.swappiness"},
        {limits.disable_oom_killer.value_or(false), "memory.oom_control"},
        {!limits.memory_hierarchy.value_or(true), "memory.use_hierarchy"},
        {limits.memory_kernel.has_value(), "memory.kmem.limit_in_bytes"},
        {limits.memory_kernel_tcp.has_value(), "memory.kmem.tcp.limit_in_bytes"},
        {limits.cpu_realtime_period.has_value(), "cpu.rt_period_us"},
        {limits.cpu_realtime_runtime.has_value(), "cpu.rt_runtime_us"},
        {limits.block_leaf_weight.has_value(), "blkio.leaf_weight"},
        {!limits.block_leaf_weight_devices.empty(), "blkio.leaf_weight_device"},
        {limits.network_class.has_value(), "net_cls.classid"},
        {!limits.network_priorities.empty(), "net_prio.ifpriomap"}};
    for (const auto& [wanted, file] : only_version1) {
        if (wanted) {
            return Error(ErrorKind::Unavailable, "cgroup version 2 has no " + std::string(file));
        }
    }
    return ok();
}

// Version 1 refuses a limit below what is used; version 2 kills until it fits.
Result<void> check_usage(const std::string& directory, const CgroupLimits& limits) {
    if (!limits.memory_check || limits.memory.value_or(-1) < 0) {
        return ok();
    }
    std::uint64_t usage = TRY(read_number(directory, "memory.current")).value_or(0);
    if (usage > static_cast<std::uint64_t>(*limits.memory)) {
        return invalid_argument(
            "unable to set memory limit to " + std::to_string(*limits.memory) +
            " (current usage: " + std::to_string(usage) + ")");
    }
    return ok();
}

Result<void> limit_memory_version2(const std::string& directory, const CgroupLimits& limits) {
    TRY(check_usage(directory, limits));
    if (std::optional<std::int64_t> swap = TRY(swap_alone(limits))) {
        Result<void> set = write_file(directory, "memory.swap.max", number_or_max(*swap));
        // A kernel without swap accounting has no such file; then only a real limit is missed.
        if (!set.ok() && (set.error().error_number() != ENOENT || *swap > 0)) {
            return set;
        }
    }
    if (limits.memory) {
        TRY(write_file(directory, "memory.max", number_or_max(*limits.memory)));
    }
    if (limits.memory_reservation) {
        TRY(write_file(directory, "memory.low", number_or_max(*limits.memory_reservation)));
    }
    return ok();
}

Result<void> limit_quota(const std::string& directory, const CgroupLimits& limits) {
    if (!limits.cpu_quota && !limits.cpu_period) {
        return ok();
    }
    std::string now = TRY(read_text(directory, "cpu.max"));
    std::vector<std::string_view> parts = words(now);
    std::string quota = limits.cpu_quota
                            ? (*limits.cpu_quota > 0 ? std::to_string(*limits.cpu_quota) : "max")
                            : std::string(parts.empty() ? "max" : parts[0]);
    std::string period = limits.cpu_period && *limits.cpu_period != 0
                             ? std::to_string(*limits.cpu_period)
                             : std::string(parts.size() < 2 ? "100000" : parts[1]);
    return write_file(directory, "cpu.max", quota + " " + period);
}

Result<void> limit_cpu_version2(const std::string& directory, const CgroupLimits& limits) {
    // An idle group has no weight to set.
    if (limits.cpu_idle == 0) {
        TRY(write_if(directory, "cpu.idle", limits.cpu_idle));
    }
    if (limits.cpu_shares && *limits.cpu_shares != 0) {
        TRY(write_file(
            directory, "cpu.weight", std::to_string(weight_of_shares(*limits.cpu_shares))));
    }
    if (limits.cpu_idle == 1) {
        TRY(write_if(directory, "cpu.idle", limits.cpu_idle));
    }
    return with_burst(directory, "cpu.max.burst", limits.cpu_burst, [&] {
        return limit_quota(directory, limits);
    });
}

Result<void> limit_block_version2(const std::string& directory, const CgroupLimits& limits) {
    if (limits.block_weight) {
        // bfq is a module: its file is there once it has been loaded.
        if (berth::exists(directory + "/io.bfq.weight")) {
            TRY(write_if(directory, "io.bfq.weight", limits.block_weight));
        } else {
            TRY(write_file(
                directory,
                "io.weight",
                std::to_string(io_weight_of_block_weight(*limits.block_weight))));
        }
    }
    for (const CgroupThrottle& weight : limits.block_weight_devices) {
        std::string value = weight.rate == 0 ? "default" : std::to_string(weight.rate);
        TRY(write_file(directory, "io.bfq.weight", device_text(weight) + " " + value));
    }
    auto throttle = [&](const char* key, const std::vector<CgroupThrottle>& list) -> Result<void> {
        for (const CgroupThrottle& entry : list) {
            TRY(write_file(
                directory,
                "io.max",
                device_text(entry) + " " + key + "=" +
                    (entry.rate == 0 ? std::string("max") : std::to_string(entry.rate))));
        }
        return ok();
    };
    TRY(throttle("rbps", limits.read_bps));
    TRY(throttle("wbps", limits.write_bps));
    TRY(throttle("riops", limits.read_iops));
    return throttle("wiops", limits.write_iops);
}

Result<void>
set_unified(const std::string& directory, const std::string& file, const std::string& value) {
    if (file.empty() || file.find('/') != std::string::npos) {
        return invalid_argument("unified resource \"" + file + "\" must be a file name");
    }
    // io.max and its like take one device a write.
    for (std::string_view line : split(trim(value), '\n')) {
        Result<void> set = write_file(directory, file, line);
        if (!set.ok() && set.error().error_number() == ENOENT) {
            std::string controller = file.substr(0, file.find('.'));
            return Error(
                ErrorKind::Unavailable,
                "unified resource \"" + file +
                    "\" can't be set: the kernel has no such file or the "
                    "controller " +
                    controller + " is not available");
        }
        TRY(std::move(set));
    }
    return ok();
}

Result<void> limit_all(const std::string& directory, const CgroupLimits& limits) {
    TRY(limit_memory_version2(directory, limits));
    TRY(limit_cpu_version2(directory, limits));
    TRY(limit_cpuset(directory, limits));
    TRY(limit_block_version2(directory, limits));
    if (limits.pids) {
        TRY(write_file(directory, "pids.max", pids_text(*limits.pids)));
    }
    TRY(limit_huge_pages(directory, ".max", limits));
    TRY(limit_rdma(directory, limits));
    for (const auto& [file, value] : limits.unified) {
        TRY(set_unified(directory, file, value));
    }
    return ok();
}

} // namespace

Result<void> limit_version2(const std::string& directory, const CgroupLimits& limits) {
    TRY(check_limits(limits));
    TRY(refuse_version1(limits));
    return blame_refused(limit_all(directory, limits));
}

} // namespace berth::kernel::cgroup_files
