// SPDX-License-Identifier: Apache-2.0
// Limits as files of version 1 and of version 2.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup_files.h"

#include <algorithm>
#include <cerrno>
#include <cmath>

namespace berth::kernel::cgroup_files {

namespace {

constexpr std::size_t max_file = 1U << 20;

std::string number_or_max(std::int64_t number) {
    return number < 0 ? "max" : std::to_string(number);
}

std::string device(const CgroupThrottle& throttle) {
    return std::to_string(throttle.major) + ":" + std::to_string(throttle.minor);
}

template <class Number>
Result<void>
write_if(const std::string& directory, std::string_view file, const std::optional<Number>& number) {
    return number ? write_file(directory, file, std::to_string(*number)) : ok();
}

Result<void> limit_memory_version1(const std::string& directory, const CgroupLimits& limits) {
    constexpr std::string_view memory_file = "memory.limit_in_bytes";
    constexpr std::string_view swap_file = "memory.memsw.limit_in_bytes";
    // "memory and swap" may never be below "memory": which one goes first depends on the
    // direction.
    bool swap_first = false;
    if (limits.memory && limits.memory_and_swap) {
        std::optional<std::uint64_t> now = TRY(read_number(directory, swap_file));
        swap_first = *limits.memory_and_swap < 0 ||
                     (now && *now < static_cast<std::uint64_t>(*limits.memory_and_swap));
    }
    if (swap_first) {
        TRY(write_if(directory, swap_file, limits.memory_and_swap));
    }
    TRY(write_if(directory, memory_file, limits.memory));
    if (!swap_first) {
        TRY(write_if(directory, swap_file, limits.memory_and_swap));
    }
    TRY(write_if(directory, "memory.soft_limit_in_bytes", limits.memory_reservation));
    TRY(write_if(directory, "memory.swappiness", limits.swappiness));
    if (limits.disable_oom_killer) {
        TRY(write_file(directory, "memory.oom_control", *limits.disable_oom_killer ? "1" : "0"));
    }
    return ok();
}

Result<void> limit_cpu_version1(const std::string& directory, const CgroupLimits& limits) {
    TRY(write_if(directory, "cpu.shares", limits.cpu_shares));
    TRY(write_if(directory, "cpu.rt_period_us", limits.cpu_realtime_period));
    TRY(write_if(directory, "cpu.rt_runtime_us", limits.cpu_realtime_runtime));
    TRY(write_if(directory, "cpu.idle", limits.cpu_idle));
    // A quota that is too small for the old period is refused, and the other way round.
    Result<void> period = write_if(directory, "cpu.cfs_period_us", limits.cpu_period);
    TRY(write_if(directory, "cpu.cfs_quota_us", limits.cpu_quota));
    TRY(write_if(directory, "cpu.cfs_burst_us", limits.cpu_burst));
    return period.ok() ? ok() : write_if(directory, "cpu.cfs_period_us", limits.cpu_period);
}

Result<void> limit_block_version1(const std::string& directory, const CgroupLimits& limits) {
    if (limits.block_weight) {
        // The scheduler that knows weights is bfq (cfq before Linux 5.0).
        Result<void> set = write_if(directory, "blkio.bfq.weight", limits.block_weight);
        if (!set.ok()) {
            TRY(write_if(directory, "blkio.weight", limits.block_weight));
        }
    }
    for (const CgroupThrottle& weight : limits.block_weight_devices) {
        TRY(write_file(
            directory,
            "blkio.bfq.weight_device",
            device(weight) + " " + std::to_string(weight.rate)));
    }
    auto throttle = [&](std::string_view file,
                        const std::vector<CgroupThrottle>& list) -> Result<void> {
        for (const CgroupThrottle& entry : list) {
            TRY(write_file(directory, file, device(entry) + " " + std::to_string(entry.rate)));
        }
        return ok();
    };
    TRY(throttle("blkio.throttle.read_bps_device", limits.read_bps));
    TRY(throttle("blkio.throttle.write_bps_device", limits.write_bps));
    TRY(throttle("blkio.throttle.read_iops_device", limits.read_iops));
    return throttle("blkio.throttle.write_iops_device", limits.write_iops);
}

Result<void> limit_cpuset(const std::string& directory, const CgroupLimits& limits) {
    if (!limits.cpuset_cpus.empty()) {
        TRY(write_file(directory, "cpuset.cpus", limits.cpuset_cpus));
    }
    if (!limits.cpuset_mems.empty()) {
        TRY(write_file(directory, "cpuset.mems", limits.cpuset_mems));
    }
    return ok();
}

// Shares (2 to 262144, 1024 by default) to a weight (1 to 10000, 100 by default), so that both
// defaults and both ends meet: opencontainers/cgroups ConvertCPUSharesToCgroupV2Value.
std::uint64_t weight_of_shares(std::uint64_t shares) {
    if (shares <= 2) {
        return 1;
    }
    if (shares >= 262144) {
        return 10000;
    }
    double l = std::log2(static_cast<double>(shares));
    double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
    return static_cast<std::uint64_t>(std::ceil(std::pow(10, exponent)));
}

Result<void> limit_memory_version2(const std::string& directory, const CgroupLimits& limits) {
    if (limits.swappiness) {
        return invalid_argument("cgroup version 2 has no memory swappiness");
    }
    // Version 2 counts swap alone.
    if (limits.memory_and_swap) {
        std::int64_t swap = *limits.memory_and_swap;
        if (swap >= 0) {
            if (!limits.memory || *limits.memory < 0) {
                return invalid_argument("a swap limit needs a memory limit");
            }
            if (swap < *limits.memory) {
                return invalid_argument("memory and swap together are less than memory");
            }
            swap -= *limits.memory;
        }
        Result<void> set = write_file(directory, "memory.swap.max", number_or_max(swap));
        // A kernel without swap accounting has no such file; then nothing is swapped either way.
        if (!set.ok() && set.error().error_number() != ENOENT) {
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

Result<void> limit_cpu_version2(const std::string& directory, const CgroupLimits& limits) {
    if (limits.cpu_realtime_period || limits.cpu_realtime_runtime) {
        return invalid_argument("cgroup version 2 has no realtime processor limits");
    }
    if (limits.cpu_shares && *limits.cpu_shares != 0) {
        TRY(write_file(
            directory, "cpu.weight", std::to_string(weight_of_shares(*limits.cpu_shares))));
    }
    if (limits.cpu_idle) {
        TRY(write_if(directory, "cpu.idle", limits.cpu_idle));
    }
    if (limits.cpu_quota || limits.cpu_period) {
        std::string now = TRY(read_text(directory, "cpu.max"));
        std::vector<std::string_view> parts = words(now);
        std::string quota =
            limits.cpu_quota ? (*limits.cpu_quota > 0 ? std::to_string(*limits.cpu_quota) : "max")
                             : std::string(parts.empty() ? "max" : parts[0]);
        std::string period = limits.cpu_period && *limits.cpu_period != 0
                                 ? std::to_string(*limits.cpu_period)
                                 : std::string(parts.size() < 2 ? "100000" : parts[1]);
        TRY(write_file(directory, "cpu.max", quota + " " + period));
    }
    return write_if(directory, "cpu.max.burst", limits.cpu_burst);
}

Result<void> limit_block_version2(const std::string& directory, const CgroupLimits& limits) {
    if (limits.block_weight) {
        Result<void> set = write_if(directory, "io.bfq.weight", limits.block_weight);
        if (!set.ok()) {
            // 10..1000 -> 1..10000, as runc does it.
            std::uint64_t weight = 1 + (std::uint64_t{*limits.block_weight} - 10) * 9999 / 990;
            TRY(write_file(directory, "io.weight", std::to_string(weight)));
        }
    }
    for (const CgroupThrottle& weight : limits.block_weight_devices) {
        TRY(write_file(
            directory, "io.bfq.weight", device(weight) + " " + std::to_string(weight.rate)));
    }
    auto throttle = [&](const char* key, const std::vector<CgroupThrottle>& list) -> Result<void> {
        for (const CgroupThrottle& entry : list) {
            TRY(write_file(
                directory,
                "io.max",
                device(entry) + " " + key + "=" +
                    (entry.rate == 0 ? std::string("max") : std::to_string(entry.rate))));
        }
        return ok();
    };
    TRY(throttle("rbps", limits.read_bps));
    TRY(throttle("wbps", limits.write_bps));
    TRY(throttle("riops", limits.read_iops));
    return throttle("wiops", limits.write_iops);
}

bool wants_block(const CgroupLimits& limits) {
    return limits.block_weight || !limits.block_weight_devices.empty() ||
           !limits.read_bps.empty() || !limits.write_bps.empty() || !limits.read_iops.empty() ||
           !limits.write_iops.empty();
}

bool wants_cpu(const CgroupLimits& limits) {
    return limits.cpu_shares || limits.cpu_quota || limits.cpu_period || limits.cpu_burst ||
           limits.cpu_realtime_period || limits.cpu_realtime_runtime || limits.cpu_idle;
}

std::string pids_text(std::int64_t limit) {
    return limit <= 0 ? "max" : std::to_string(limit);
}

} // namespace

Result<void>
write_file(const std::string& directory, std::string_view file, std::string_view text) {
    return write_existing(directory + "/" + std::string(file), text);
}

Result<std::string> read_text(const std::string& directory, std::string_view file) {
    return read_file(directory + "/" + std::string(file), max_file);
}

Result<std::optional<std::uint64_t>>
read_number(const std::string& directory, std::string_view file) {
    std::string text = TRY(read_text(directory, file));
    std::string_view number = trim(text);
    if (number == "max") {
        return std::optional<std::uint64_t>();
    }
    return std::optional(TRY(parse_number<std::uint64_t>(number)));
}

Result<std::map<std::string, std::uint64_t>>
read_table(const std::string& directory, std::string_view file) {
    std::string text = TRY(read_text(directory, file));
    std::map<std::string, std::uint64_t> table;
    for (std::string_view line : split(text, '\n')) {
        std::vector<std::string_view> parts = words(line);
        if (parts.size() == 2) {
            Result<std::uint64_t> value = parse_number<std::uint64_t>(parts[1]);
            if (value.ok()) {
                table[std::string(parts[0])] = *value;
            }
        }
    }
    return table;
}

std::vector<std::string> needed_controllers(const CgroupLimits& limits) {
    std::vector<std::string> needed;
    auto need = [&needed](bool wanted, const char* controller) {
        if (wanted) {
            needed.emplace_back(controller);
        }
    };
    need(
        limits.memory || limits.memory_reservation || limits.memory_and_swap || limits.swappiness ||
            limits.disable_oom_killer,
        "memory");
    need(wants_cpu(limits), "cpu");
    need(!limits.cpuset_cpus.empty() || !limits.cpuset_mems.empty(), "cpuset");
    need(limits.pids.has_value(), "pids");
    need(wants_block(limits), "blkio");
    need(!limits.huge_pages.empty(), "hugetlb");
    return needed;
}

Result<void>
limit_version1(const std::map<std::string, std::string>& directories, const CgroupLimits& limits) {
    std::vector<std::string> needed = needed_controllers(limits);
    for (const std::string& controller : needed) {
        auto found = directories.find(controller);
        if (found == directories.end()) {
            return Error(
                ErrorKind::Unavailable, "this machine has no cgroup controller " + controller);
        }
        const std::string& directory = found->second;
        if (controller == "memory") {
            TRY(limit_memory_version1(directory, limits));
        } else if (controller == "cpu") {
            TRY(limit_cpu_version1(directory, limits));
        } else if (controller == "cpuset") {
            TRY(limit_cpuset(directory, limits));
        } else if (controller == "pids") {
            TRY(write_file(directory, "pids.max", pids_text(*limits.pids)));
        } else if (controller == "blkio") {
            TRY(limit_block_version1(directory, limits));
        } else {
            for (const auto& [size, bytes] : limits.huge_pages) {
                TRY(write_file(
                    directory, "hugetlb." + size + ".limit_in_bytes", std::to_string(bytes)));
            }
        }
    }
    return ok();
}

Result<void> limit_version2(const std::string& directory, const CgroupLimits& limits) {
    TRY(limit_memory_version2(directory, limits));
    TRY(limit_cpu_version2(directory, limits));
    TRY(limit_cpuset(directory, limits));
    TRY(limit_block_version2(directory, limits));
    if (limits.pids) {
        TRY(write_file(directory, "pids.max", pids_text(*limits.pids)));
    }
    for (const auto& [size, bytes] : limits.huge_pages) {
        TRY(write_file(directory, "hugetlb." + size + ".max", std::to_string(bytes)));
    }
    for (const auto& [file, value] : limits.unified) {
        if (file.find('/') != std::string::npos || file.starts_with("cgroup.")) {
            return invalid_argument("unified resource \"" + file + "\" is no limit");
        }
        TRY(write_file(directory, file, value));
    }
    return ok();
}

} // namespace berth::kernel::cgroup_files
