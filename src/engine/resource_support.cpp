// SPDX-License-Identifier: Apache-2.0
// moby's daemon/daemon_unix.go, verifyPlatformContainerResources, with its words, and pkg/sysinfo.
#include "engine/resource_support.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"

#include <algorithm>

namespace berth::engine {
namespace {

bool has_version2(std::string_view controller) {
    const auto layout = kernel::cgroup_layout();
    if (controller.empty() || !layout.ok() || (*layout)->unified.empty()) {
        return false;
    }
    const std::string list =
        read_file((*layout)->unified + "/cgroup.controllers").value_or(std::string());
    const std::vector<std::string_view> names = words(list);
    return std::ranges::find(names, controller) != names.end();
}

// Kernels may have version 2 without counting swap. The root group has no limits to ask for.
bool can_limit_swap() {
    const auto layout = kernel::cgroup_layout();
    if (!layout.ok() || (*layout)->controllers.contains("memory")) {
        return can_limit({"memory", "memory.memsw.limit_in_bytes", ""});
    }
    const auto own = (*layout)->own_paths.find("");
    const bool is_in_root = own == (*layout)->own_paths.end() || own->second == "/";
    return has_version2("memory") &&
           (is_in_root || exists((*layout)->unified + own->second + "/memory.swap.max"));
}

// Of a scheduler's weights bfq's files are there once it has been loaded, and then in groups alone.
bool can_weigh_blocks() {
    return can_limit({"blkio", "blkio.weight_device", "io"}) ||
           can_limit({"blkio", "blkio.bfq.io_serviced", "io"});
}

using Warnings = std::vector<std::string>;

void discard_memory(HostConfig& host, Warnings& warnings) {
    if (host.memory > 0 && !can_limit({"memory", "memory.limit_in_bytes", "memory"})) {
        warnings.emplace_back("Your kernel does not support memory limit capabilities or the "
                              "cgroup is not mounted. Limitation discarded.");
        host.memory = 0;
        host.memory_swap = -1;
    }
    if (host.memory > 0 && host.memory_swap != -1 && !can_limit_swap()) {
        warnings.emplace_back("Your kernel does not support swap limit capabilities or the cgroup "
                              "is not mounted. Memory limited without swap.");
        host.memory_swap = -1;
    }
    if (host.memory_swappiness == -1) {
        host.memory_swappiness.reset(); // what clients send for none
    }
    if (host.memory_swappiness && !can_limit({"memory", "memory.swappiness", ""})) {
        warnings.emplace_back("Your kernel does not support memory swappiness capabilities or the "
                              "cgroup is not mounted. Memory swappiness discarded.");
        host.memory_swappiness.reset();
    }
    if (host.memory_reservation > 0 &&
        !can_limit({"memory", "memory.soft_limit_in_bytes", "memory"})) {
        warnings.emplace_back("Your kernel does not support memory soft limit capabilities or the "
                              "cgroup is not mounted. Limitation discarded.");
        host.memory_reservation = 0;
    }
    if (host.oom_kill_disable.value_or(false) && !can_limit({"memory", "memory.oom_control", ""})) {
        warnings.emplace_back(
            "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
        host.oom_kill_disable.reset();
    }
}

void discard_processor(HostConfig& host, Warnings& warnings) {
    if (host.pids_limit && *host.pids_limit > 0 && !can_limit({"pids", "", "pids"})) {
        warnings.emplace_back("Your kernel does not support PIDs limit capabilities or the cgroup "
                              "is not mounted. PIDs limit discarded.");
        host.pids_limit.reset();
    }
    if (host.cpu_shares > 0 && !can_limit({"cpu", "cpu.shares", "cpu"})) {
        warnings.emplace_back("Your kernel does not support CPU shares or the cgroup is not "
                              "mounted. Shares discarded.");
        host.cpu_shares = 0;
    }
    if ((host.cpu_period != 0 || host.cpu_quota != 0) && !can_limit(limit_of_cpu_time)) {
        warnings.emplace_back(
            "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
        host.cpu_period = 0;
        host.cpu_quota = 0;
    }
    if ((!host.cpuset_cpus.empty() || !host.cpuset_mems.empty()) &&
        !can_limit({"cpuset", "", "cpuset"})) {
        warnings.emplace_back("Your kernel does not support cpuset or the cgroup is not mounted. "
                              "Cpuset discarded.");
        host.cpuset_cpus.clear();
        host.cpuset_mems.clear();
    }
    // Of Windows. dockerd keeps the count without a word.
    if (host.cpu_percent > 0) {
        warnings.emplace_back("linux does not support CPU percent. Percent discarded.");
        host.cpu_percent = 0;
    }
    if (host.cpu_count > 0) {
        warnings.emplace_back("linux does not support CPU count. Count discarded.");
        host.cpu_count = 0;
    }
}

void discard_weights(HostConfig& host, Warnings& warnings) {
    if (host.blkio_weight > 0 && !can_weigh_blocks()) {
        warnings.emplace_back("Your kernel does not support Block I/O weight or the cgroup is not "
                              "mounted. Weight discarded.");
        host.blkio_weight = 0;
    }
    if (!host.blkio_weight_device.empty() && !can_weigh_blocks()) {
        warnings.emplace_back("Your kernel does not support Block I/O weight_device or the cgroup "
                              "is not mounted. Weight-device discarded.");
        host.blkio_weight_device.clear();
    }
}

struct Throttle {
    std::vector<ThrottleDevice> HostConfig::*devices;
    std::string_view file;
    std::string_view what; // in the warning, twice
    std::string_view again;
};

constexpr Throttle throttles[] = {
    {&HostConfig::blkio_device_read_bps,
     "blkio.throttle.read_bps_device",
     "BPS Block I/O read limit",
     "Block I/O BPS read limit"},
    {&HostConfig::blkio_device_write_bps,
     "blkio.throttle.write_bps_device",
     "BPS Block I/O write limit",
     "Block I/O BPS write limit"},
    {&HostConfig::blkio_device_read_iops,
     "blkio.throttle.read_iops_device",
     "IOPS Block read limit",
     "Block I/O IOPS read limit"},
    {&HostConfig::blkio_device_write_iops,
     "blkio.throttle.write_iops_device",
     "IOPS Block write limit",
     "Block I/O IOPS write limit"}};

void discard_throttles(HostConfig& host, Warnings& warnings) {
    for (const Throttle& throttle : throttles) {
        auto& devices = host.*throttle.devices;
        if (!devices.empty() && !can_limit({"blkio", throttle.file, "io"})) {
            warnings.push_back(
                "Your kernel does not support " + std::string(throttle.what) +
                " or the cgroup is not mounted. " + std::string(throttle.again) + " discarded.");
            devices.clear();
        }
    }
}

} // namespace

bool can_limit(const LimitKind& kind) {
    const auto layout = kernel::cgroup_layout();
    if (!layout.ok()) {
        return false;
    }
    const auto found = (*layout)->controllers.find(std::string(kind.controller));
    if (found == (*layout)->controllers.end()) {
        return has_version2(kind.version2);
    }
    return kind.file.empty() || exists(found->second + "/" + std::string(kind.file));
}

std::vector<std::string> discard_impossible(HostConfig& host) {
    Warnings warnings;
    discard_memory(host, warnings);
    discard_processor(host, warnings);
    discard_weights(host, warnings);
    discard_throttles(host, warnings);
    return warnings;
}

} // namespace berth::engine
