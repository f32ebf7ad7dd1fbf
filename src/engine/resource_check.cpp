// SPDX-License-Identifier: Apache-2.0
// moby's daemon/daemon_unix.go, verifyPlatformContainerResources, and runconfig's
// validateResources, with their words.
#include "engine/resource_check.h"

#include "base/file.h"
#include "base/strings.h"
#include "engine/resource_support.h"

#include <algorithm>
#include <optional>
#include <set>
#include <thread>

namespace berth::engine {
namespace {

constexpr std::int64_t minimum_memory = 6 << 20;

Result<void> check_memory(const HostConfig& host) {
    if (host.memory != 0 && host.memory < minimum_memory) {
        return invalid_argument("Minimum memory limit allowed is 6MB");
    }
    if (host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory) {
        return invalid_argument(
            "Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if (host.memory == 0 && host.memory_swap > 0) {
        return invalid_argument(
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if (host.memory_reservation != 0 && host.memory_reservation < minimum_memory) {
        return invalid_argument("Minimum memory reservation allowed is 6MB");
    }
    if (host.memory > 0 && host.memory_reservation > host.memory) {
        return invalid_argument("Minimum memory limit can not be less than memory reservation "
                                "limit, see usage");
    }
    if (host.memory_swappiness && (*host.memory_swappiness < -1 || *host.memory_swappiness > 100)) {
        return invalid_argument(
            "Invalid value: " + std::to_string(*host.memory_swappiness) +
            ", valid memory swappiness range is 0-100");
    }
    if (host.shm_size < 0) {
        return invalid_argument("SHM size can not be less than 0");
    }
    return ok();
}

Result<void> check_cpu(const HostConfig& host) {
    if (host.cpu_shares < 0) {
        return invalid_argument(
            "invalid CPU shares (" + std::to_string(host.cpu_shares) +
            "): value must be a positive integer");
    }
    if (host.nano_cpus > 0 && host.cpu_period > 0) {
        return invalid_argument("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if (host.nano_cpus > 0 && host.cpu_quota > 0) {
        return invalid_argument("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    if (host.nano_cpus > 0 && !can_limit(limit_of_cpu_time)) {
        return invalid_argument("NanoCPUs can not be set, as your kernel does not support CPU CFS "
                                "scheduler or the cgroup is not mounted");
    }
    const std::int64_t cpus = std::thread::hardware_concurrency();
    if (host.nano_cpus < 0 || host.nano_cpus > cpus * 1'000'000'000) {
        const std::string count = std::to_string(cpus);
        return invalid_argument(
            "range of CPUs is from 0.01 to " + count + ".00, as there are only " + count +
            " CPUs available");
    }
    if (host.cpu_period != 0 && (host.cpu_period < 1000 || host.cpu_period > 1'000'000)) {
        return invalid_argument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger "
                                "than 1s (i.e. 1000000)");
    }
    if (host.cpu_quota > 0 && host.cpu_quota < 1000) {
        return invalid_argument("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    return ok();
}

constexpr unsigned highest_in_set = 8191; // as Docker has it

// "0-3,7"
std::optional<std::set<unsigned>> parse_set(std::string_view text) {
    std::set<unsigned> numbers;
    for (const std::string_view part : split(text, ',')) {
        const auto range = cut(part, "-");
        const auto first = parse_number<unsigned>(range ? range->before : part);
        const auto last = range ? parse_number<unsigned>(range->after) : first;
        if (!first.ok() || !last.ok() || *first > *last || *last > highest_in_set) {
            return std::nullopt;
        }
        for (unsigned number = *first; number <= *last; ++number) {
            numbers.insert(number);
        }
    }
    return numbers;
}

struct SetKind {
    std::string_view name; // "cpuset cpus"
    std::string_view what; // "CPUs"
    std::string online;    // the file that lists what there is
};

Result<void> check_set(const std::string& asked, const SetKind& kind) {
    if (asked.empty()) {
        return ok();
    }
    const auto wanted = parse_set(asked);
    if (!wanted) {
        return invalid_argument(
            "Invalid value " + asked + " for " + std::string(kind.name) +
            ": invalid format: " + asked);
    }
    const auto text = read_file(kind.online);
    const auto there = text.ok() ? parse_set(trim(*text)) : std::nullopt;
    if (!there) {
        return ok(); // a kernel that does not tell
    }
    for (const unsigned number : *wanted) {
        if (!there->contains(number)) {
            return invalid_argument(
                "Requested " + std::string(kind.what) + " are not available - requested " + asked +
                ", available: " + std::string(trim(*text)));
        }
    }
    return ok();
}

Result<void> check_realtime(const HostConfig& host) {
    if (host.cpu_realtime_period == 0 && host.cpu_realtime_runtime == 0) {
        return ok();
    }
    if (!can_limit({"cpu", "cpu.rt_period_us", ""})) {
        return invalid_argument("kernel does not support CPU real-time scheduler");
    }
    if (host.cpu_realtime_period != 0 && host.cpu_realtime_runtime > host.cpu_realtime_period) {
        return invalid_argument("cpu real-time runtime cannot be higher than cpu real-time period");
    }
    return ok();
}

struct FieldFile {
    std::string_view file; // of control groups
    std::string_view field;
};

constexpr FieldFile field_files[] = {
    {"/memory.limit_in_bytes:", "Memory"},
    {"/memory.max:", "Memory"},
    {"/memory.memsw.limit_in_bytes:", "MemorySwap"},
    {"/memory.swap.max:", "MemorySwap"},
    {"/memory.soft_limit_in_bytes:", "MemoryReservation"},
    {"/memory.low:", "MemoryReservation"},
    {"/memory.swappiness:", "MemorySwappiness"},
    {"/memory.oom_control:", "OomKillDisable"},
    {"/cpu.shares:", "CpuShares"},
    {"/cpu.weight:", "CpuShares"},
    {"/cpu.cfs_period_us:", "CpuPeriod"},
    {"/cpu.cfs_quota_us:", "CpuQuota"},
    {"/cpu.max:", "CpuQuota"},
    {"/cpu.rt_period_us:", "CpuRealtimePeriod"},
    {"/cpu.rt_runtime_us:", "CpuRealtimeRuntime"},
    {"/cpuset.cpus:", "CpusetCpus"},
    {"/cpuset.mems:", "CpusetMems"},
    {"/pids.max:", "PidsLimit"},
    {"/blkio.weight:", "BlkioWeight"},
    {"/blkio.bfq.weight:", "BlkioWeight"},
    {"/io.weight:", "BlkioWeight"},
    {"/io.bfq.weight:", "BlkioWeight"}};

} // namespace

Error named_refusal(Error error, const HostConfig& host) {
    if (error.kind() != ErrorKind::InvalidArgument) {
        return error;
    }
    for (const auto& [file, field] : field_files) {
        if (error.message().find(file) != std::string::npos) {
            const bool is_quota = field == "CpuQuota" || field == "CpuPeriod";
            return std::move(error).with_context(
                is_quota && host.nano_cpus > 0 ? "NanoCpus" : field);
        }
    }
    return error;
}

// moby's container/container_unix.go, UpdateContainer
Result<void> check_update(const HostConfig& present, const HostConfig& asked) {
    const auto refuse = [](std::string_view asked_for, std::string_view set) -> Error {
        return conflict(
            "Conflicting options: " + std::string(asked_for) + " cannot be updated as " +
            std::string(set) + " has already been set");
    };
    if (asked.nano_cpus > 0 && present.cpu_period > 0) {
        return refuse("Nano CPUs", "CPU Period");
    }
    if (asked.nano_cpus > 0 && present.cpu_quota > 0) {
        return refuse("Nano CPUs", "CPU Quota");
    }
    if (asked.cpu_period > 0 && present.nano_cpus > 0) {
        return refuse("CPU Period", "NanoCPUs");
    }
    if (asked.cpu_quota > 0 && present.nano_cpus > 0) {
        return refuse("CPU Quota", "NanoCPUs");
    }
    // Docker refuses it without a limit of swap, too, which nothing asks for.
    if (present.memory_swap > 0 && asked.memory > present.memory_swap && asked.memory_swap == 0) {
        return conflict("Memory limit should be smaller than already set memoryswap limit, update "
                        "the memoryswap at the same time");
    }
    const std::string& policy = asked.restart_policy.name;
    if (present.auto_remove && !policy.empty() && policy != "no") {
        return conflict("Restart policy cannot be updated because AutoRemove is enabled for the "
                        "container");
    }
    return ok();
}

Result<std::vector<std::string>> check_resources(const HostConfig& host) {
    TRY(check_memory(host));
    TRY(check_cpu(host));
    TRY(check_set(host.cpuset_cpus, {"cpuset cpus", "CPUs", "/sys/devices/system/cpu/online"}));
    TRY(check_set(
        host.cpuset_mems, {"cpuset mems", "memory nodes", "/sys/devices/system/node/online"}));
    TRY(check_realtime(host));
    for (const auto& [asked, what] :
         {std::pair(host.io_maximum_bandwidth, "bandwidth"),
          std::pair(host.io_maximum_iops, "IOPs")}) {
        if (asked != 0) {
            return invalid_argument(
                "invalid option: QoS maximum " + std::string(what) +
                " configuration is not supported on linux");
        }
    }
    if (host.blkio_weight != 0 && (host.blkio_weight < 10 || host.blkio_weight > 1000)) {
        return invalid_argument("Range of blkio weight is from 10 to 1000");
    }
    if (host.oom_score_adj < -1000 || host.oom_score_adj > 1000) {
        return invalid_argument(
            "Invalid value " + std::to_string(host.oom_score_adj) +
            ", range for oom score adj is [-1000, 1000]");
    }
    std::vector<std::string> warnings;
    if (host.oom_kill_disable.value_or(false) && host.memory == 0) {
        warnings.emplace_back(
            "OOM killer is disabled for the container, but no memory limit is set, this can "
            "result in the system running out of resources.");
    }
    return warnings;
}

} // namespace berth::engine
