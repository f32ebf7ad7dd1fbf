// SPDX-License-Identifier: Apache-2.0
// Top and stats: from the container's cgroup and /proc.
#include "base/strings.h"
#include "engine/cgroup_place.h"
#include "engine/container_reader.h"
#include "engine/process_list.h"
#include "engine/ps_program.h"
#include "kernel/cgroup.h"

#include <thread>

#include <unistd.h>

namespace berth::engine {
namespace {

// "  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 …"
std::map<std::string, ContainerStats::Network> read_networks(std::int64_t pid) {
    std::map<std::string, ContainerStats::Network> networks;
    auto text = read_file("/proc/" + std::to_string(pid) + "/net/dev");
    if (!text.ok()) {
        return networks;
    }
    for (std::string_view line : split(*text, '\n')) {
        auto parts = cut(line, ":");
        if (!parts || trim(parts->before) == "lo") {
            continue;
        }
        const std::vector<std::string_view> fields = words(parts->after);
        const auto number = [&fields](std::size_t index) {
            return index < fields.size() ? parse_number<std::uint64_t>(fields[index]).value_or(0)
                                         : 0;
        };
        networks.emplace(
            trim(parts->before),
            ContainerStats::Network{
                .rx_bytes = number(0),
                .rx_packets = number(1),
                .rx_errors = number(2),
                .rx_dropped = number(3),
                .tx_bytes = number(8),
                .tx_packets = number(9),
                .tx_errors = number(10),
                .tx_dropped = number(11)});
    }
    return networks;
}

// All time that the machine's processors spent, in nanoseconds.
std::uint64_t system_cpu_time() {
    auto text = read_file("/proc/stat");
    if (!text.ok()) {
        return 0;
    }
    const std::vector<std::string_view> fields =
        words(std::string_view(*text).substr(0, text->find('\n')));
    std::uint64_t ticks = 0;
    for (std::size_t i = 1; i < fields.size() && i <= 7; ++i) {
        ticks += parse_number<std::uint64_t>(fields[i]).value_or(0);
    }
    return ticks * (1'000'000'000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

std::vector<ContainerStats::BlockEntry>
block_entries(const std::vector<kernel::CgroupStats::BlockEntry>& entries) {
    std::vector<ContainerStats::BlockEntry> result;
    for (const auto& entry : entries) {
        result.push_back({entry.major, entry.minor, entry.operation, entry.value});
    }
    return result;
}

std::uint64_t machine_memory() {
    return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

} // namespace

Result<TopResult>
ContainerReader::top(const ContainerPtr& container, const std::string& ps_arguments) const {
    const ContainerView view = view_of(*container);
    if (!view.life.state.is_running()) {
        return conflict("container " + container->id + " is not running");
    }
    if (view.life.state.status == ContainerStatus::Restarting) {
        return conflict(
            "Container " + container->id + " is restarting, wait until the container is running");
    }
    const kernel::Cgroup cgroup =
        TRY(kernel::Cgroup::open(cgroup_path(*view.definition, core_.config())));
    const std::vector<pid_t> pids = TRY(cgroup.processes());
    auto found = TRY(ask_ps(pids, ps_arguments));
    return found ? std::move(*found) : TRY(list_processes(pids, ps_arguments));
}

Result<ContainerStats> ContainerReader::stats(const ContainerPtr& container) const {
    const ContainerView view = view_of(*container);
    ContainerStats stats;
    stats.id = container->id;
    stats.name = "/" + view.definition->name;
    stats.running = view.life.state.is_running();
    if (!stats.running) {
        return stats;
    }
    stats.read = Timestamp::now();
    const kernel::Cgroup cgroup =
        TRY(kernel::Cgroup::open(cgroup_path(*view.definition, core_.config())));
    const kernel::CgroupStats used = TRY(cgroup.stats());
    stats.cpu_total = used.cpu_usage_ns;
    stats.cpu_kernel = used.cpu_system_ns;
    stats.cpu_user = used.cpu_user_ns;
    stats.system_cpu = system_cpu_time();
    stats.periods = used.periods;
    stats.throttled_periods = used.throttled_periods;
    stats.throttled_time = used.throttled_ns;
    stats.online_cpus = std::thread::hardware_concurrency();
    stats.memory_usage = used.memory_usage;
    stats.memory_limit =
        std::min(used.memory_limit == 0 ? machine_memory() : used.memory_limit, machine_memory());
    stats.memory_max_usage = used.memory_max_usage;
    stats.memory_fail_count = used.memory_fail_count;
    stats.memory_stats = used.memory;
    stats.cpu_per_cpu = used.cpu_per_cpu_ns;
    stats.pids_current = used.pids_current;
    stats.pids_limit = used.pids_limit;
    stats.block_bytes = block_entries(used.block_bytes);
    stats.block_operations = block_entries(used.block_operations);
    // The host's interfaces are not the container's.
    if (view.definition->host_config.network_mode != "host") {
        stats.networks = read_networks(view.life.state.pid);
    }
    return stats;
}

} // namespace berth::engine
