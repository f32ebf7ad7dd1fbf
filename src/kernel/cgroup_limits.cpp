// SPDX-License-Identifier: Apache-2.0
// What limits mean whatever the version: ranges, the controllers that they need, and how numbers of
// version 1, which the specification speaks, become those of version 2.
#include "kernel/cgroup_files.h"

#include <algorithm>
#include <cerrno>
#include <cmath>

namespace berth::kernel::cgroup_files {

namespace {

constexpr std::uint64_t lowest_block_weight = 10;
constexpr std::uint64_t highest_block_weight = 1000;

bool wants_memory(const CgroupLimits& limits) {
    return limits.memory || limits.memory_reservation || limits.memory_and_swap ||
           limits.memory_kernel || limits.memory_kernel_tcp || limits.swappiness ||
           limits.disable_oom_killer || limits.memory_hierarchy;
}

bool wants_block(const CgroupLimits& limits) {
    return limits.block_weight || limits.block_leaf_weight ||
           !limits.block_weight_devices.empty() || !limits.block_leaf_weight_devices.empty() ||
           !limits.read_bps.empty() || !limits.write_bps.empty() || !limits.read_iops.empty() ||
           !limits.write_iops.empty();
}

bool wants_cpu(const CgroupLimits& limits) {
    return limits.cpu_shares || limits.cpu_quota || limits.cpu_period || limits.cpu_burst ||
           limits.cpu_realtime_period || limits.cpu_realtime_runtime || limits.cpu_idle;
}

bool is_block_weight(std::uint64_t weight) {
    return weight >= lowest_block_weight && weight <= highest_block_weight;
}

Result<void> check_block(const CgroupLimits& limits) {
    if ((limits.block_weight && !is_block_weight(*limits.block_weight)) ||
        (limits.block_leaf_weight && !is_block_weight(*limits.block_leaf_weight))) {
        return invalid_argument("a block I/O weight must be 10 to 1000");
    }
    for (const auto* list : {&limits.block_weight_devices, &limits.block_leaf_weight_devices}) {
        for (const CgroupThrottle& entry : *list) {
            // 0 takes the device's own weight away.
            if (entry.rate != 0 && !is_block_weight(entry.rate)) {
                return invalid_argument(
                    "the block I/O weight of device " + device_text(entry) + " must be 10 to 1000");
            }
        }
    }
    return ok();
}

std::string rdma_text(const CgroupRdmaLimit& limit) {
    auto number = [](const std::optional<std::uint32_t>& value) {
        return value ? std::to_string(*value) : std::string("max");
    };
    return limit.device + " hca_handle=" + number(limit.handles) +
           " hca_object=" + number(limit.objects);
}

} // namespace

std::string device_text(const CgroupThrottle& throttle) {
    return std::to_string(throttle.major) + ":" + std::to_string(throttle.minor);
}

Result<void> check_limits(const CgroupLimits& limits) {
    if (limits.memory && limits.memory_and_swap && *limits.memory >= 0 &&
        *limits.memory_and_swap >= 0 && *limits.memory_and_swap < *limits.memory) {
        return invalid_argument("memory and swap together are less than memory");
    }
    if (limits.memory_and_swap && *limits.memory_and_swap >= 0 && limits.memory &&
        *limits.memory < 0) {
        return invalid_argument("a swap limit needs a memory limit");
    }
    if (limits.cpu_idle && *limits.cpu_idle != 0 && *limits.cpu_idle != 1) {
        return invalid_argument("cpu idle must be 0 or 1");
    }
    return check_block(limits);
}

Result<void> blame_refused(Result<void> set) {
    constexpr int refusals[] = {EINVAL, ERANGE, EBUSY, ENODEV, EOVERFLOW};
    if (!set.ok() && std::ranges::count(refusals, set.error().error_number()) > 0) {
        return std::move(set).error().as(ErrorKind::InvalidArgument);
    }
    return set;
}

std::vector<std::string> needed_controllers(const CgroupLimits& limits) {
    std::vector<std::string> needed;
    auto need = [&needed](bool wanted, const char* controller) {
        if (wanted) {
            needed.emplace_back(controller);
        }
    };
    need(wants_memory(limits), "memory");
    need(wants_cpu(limits), "cpu");
    need(!limits.cpuset_cpus.empty() || !limits.cpuset_mems.empty(), "cpuset");
    need(limits.pids.has_value(), "pids");
    need(wants_block(limits), "blkio");
    need(!limits.huge_pages.empty(), "hugetlb");
    need(limits.network_class.has_value(), "net_cls");
    need(!limits.network_priorities.empty(), "net_prio");
    need(!limits.rdma.empty(), "rdma");
    return needed;
}

// opencontainers/cgroups ConvertCPUSharesToCgroupV2Value: a curve through both ends and both
// defaults (2 -> 1, 1024 -> 100, 262144 -> 10000). The runtimes had a straight line before, which
// made the default 39.
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

// 10..1000 -> 1..10000: ConvertBlkIOToIOWeightValue.
std::uint64_t io_weight_of_block_weight(std::uint64_t weight) {
    return 1 + (weight - lowest_block_weight) * 9999 / 990;
}

// Version 2 counts swap alone: ConvertMemorySwapToCgroupV2Value. nullopt: leave it.
Result<std::optional<std::int64_t>> swap_alone(const CgroupLimits& limits) {
    if (!limits.memory_and_swap) {
        // "No limit of memory" takes the swap limit along.
        return limits.memory == -1 ? std::optional<std::int64_t>(-1) : std::nullopt;
    }
    if (*limits.memory_and_swap < 0) {
        return std::optional<std::int64_t>(-1);
    }
    if (!limits.memory || *limits.memory < 0) {
        return invalid_argument("a swap limit needs a memory limit");
    }
    return std::optional(*limits.memory_and_swap - *limits.memory);
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

// Reserved pages too, where the kernel counts them (Linux 5.7).
Result<void> limit_huge_pages(
    const std::string& directory, const std::string& suffix, const CgroupLimits& limits) {
    for (const auto& [size, bytes] : limits.huge_pages) {
        if (size.find('/') != std::string::npos) {
            return invalid_argument("\"" + size + "\" is no huge page size");
        }
        std::string prefix = "hugetlb." + size;
        TRY(write_file(directory, prefix + suffix, std::to_string(bytes)));
        Result<void> reserved =
            write_file(directory, prefix + ".rsvd" + suffix, std::to_string(bytes));
        if (!reserved.ok() && reserved.error().error_number() != ENOENT) {
            return reserved;
        }
    }
    return ok();
}

Result<void> limit_rdma(const std::string& directory, const CgroupLimits& limits) {
    for (const CgroupRdmaLimit& limit : limits.rdma) {
        TRY_CONTEXT(
            write_file(directory, "rdma.max", rdma_text(limit)), "rdma device " + limit.device);
    }
    return ok();
}

std::string pids_text(std::int64_t limit) {
    return limit <= 0 ? "max" : std::to_string(limit);
}

// The kernel refuses a burst above the quota, so which of the two goes first depends on the
// direction: the burst first and, should it be refused, once more behind the quota.
Result<void> with_burst(
    const std::string& directory,
    std::string_view file,
    const std::optional<std::uint64_t>& burst,
    const std::function<Result<void>()>& set_quota) {
    Result<void> first = write_if(directory, file, burst);
    if (!first.ok() && first.error().error_number() != EINVAL) {
        return first;
    }
    TRY(set_quota());
    return first.ok() ? ok() : write_if(directory, file, burst);
}

} // namespace berth::kernel::cgroup_files
