// SPDX-License-Identifier: Apache-2.0
// What a group uses. A file that is not there leaves its number at zero: a controller that the
// container does without is no error.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup_files.h"

#include <unistd.h>

namespace berth::kernel::cgroup_files {

namespace {

std::uint64_t
number_or_zero(const std::string& directory, std::string_view file, std::uint64_t without = 0) {
    Result<std::optional<std::uint64_t>> number = read_number(directory, file);
    return number.ok() ? number->value_or(without) : 0;
}

std::map<std::string, std::uint64_t>
table_or_empty(const std::string& directory, std::string_view file) {
    return read_table(directory, file).value_or({});
}

// "8:0 Read 4096"
std::vector<CgroupStats::BlockEntry>
block_entries_version1(const std::string& directory, std::string_view file) {
    std::vector<CgroupStats::BlockEntry> entries;
    std::string text = read_text(directory, file).value_or("");
    for (std::string_view line : split(text, '\n')) {
        std::vector<std::string_view> parts = words(line);
        std::optional<Cut> device = parts.size() == 3 ? cut(parts[0], ":") : std::nullopt;
        if (!device) {
            continue;
        }
        entries.push_back(
            {parse_number<std::uint64_t>(device->before).value_or(0),
             parse_number<std::uint64_t>(device->after).value_or(0),
             to_lower(parts[1]),
             parse_number<std::uint64_t>(parts[2]).value_or(0)});
    }
    return entries;
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"
void add_block_version2(const std::string& directory, CgroupStats& stats) {
    std::string text = read_text(directory, "io.stat").value_or("");
    for (std::string_view line : split(text, '\n')) {
        std::vector<std::string_view> parts = words(line);
        std::optional<Cut> device = parts.size() > 1 ? cut(parts[0], ":") : std::nullopt;
        if (!device) {
            continue;
        }
        CgroupStats::BlockEntry entry{
            parse_number<std::uint64_t>(device->before).value_or(0),
            parse_number<std::uint64_t>(device->after).value_or(0),
            "",
            0};
        for (std::string_view part : parts) {
            std::optional<Cut> pair = cut(part, "=");
            if (!pair) {
                continue;
            }
            entry.value = parse_number<std::uint64_t>(pair->after).value_or(0);
            entry.operation = pair->before.starts_with('r') ? "read" : "write";
            if (pair->before == "rbytes" || pair->before == "wbytes") {
                stats.block_bytes.push_back(entry);
            } else if (pair->before == "rios" || pair->before == "wios") {
                stats.block_operations.push_back(entry);
            }
        }
    }
}

void add_cpu_version1(const std::string& directory, CgroupStats& stats) {
    stats.cpu_usage_ns = number_or_zero(directory, "cpuacct.usage");
    std::uint64_t tick = 1'000'000'000U / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    auto split_times = table_or_empty(directory, "cpuacct.stat");
    stats.cpu_user_ns = split_times["user"] * tick;
    stats.cpu_system_ns = split_times["system"] * tick;
    std::string text = read_text(directory, "cpuacct.usage_percpu").value_or("");
    stats.cpu_per_cpu_ns.clear();
    for (std::string_view number : words(text)) {
        stats.cpu_per_cpu_ns.push_back(parse_number<std::uint64_t>(number).value_or(0));
    }
}

} // namespace

void add_stats_version1(const std::map<std::string, std::string>& directories, CgroupStats& stats) {
    for (const auto& [controller, directory] : directories) {
        if (controller == "cpuacct") {
            add_cpu_version1(directory, stats);
        } else if (controller == "cpu") {
            auto table = table_or_empty(directory, "cpu.stat");
            stats.periods = table["nr_periods"];
            stats.throttled_periods = table["nr_throttled"];
            stats.throttled_ns = table["throttled_time"];
        } else if (controller == "memory") {
            stats.memory_usage = number_or_zero(directory, "memory.usage_in_bytes");
            stats.memory_max_usage = number_or_zero(directory, "memory.max_usage_in_bytes");
            stats.memory_limit = number_or_zero(directory, "memory.limit_in_bytes");
            stats.memory_fail_count = number_or_zero(directory, "memory.failcnt");
            stats.memory = table_or_empty(directory, "memory.stat");
        } else if (controller == "pids") {
            stats.pids_current = number_or_zero(directory, "pids.current");
            stats.pids_limit = number_or_zero(directory, "pids.max");
        } else if (controller == "blkio") {
            stats.block_bytes =
                block_entries_version1(directory, "blkio.throttle.io_service_bytes_recursive");
            stats.block_operations =
                block_entries_version1(directory, "blkio.throttle.io_serviced_recursive");
        }
    }
}

void add_stats_version2(const std::string& directory, CgroupStats& stats) {
    auto cpu = table_or_empty(directory, "cpu.stat");
    stats.cpu_usage_ns = cpu["usage_usec"] * 1000;
    stats.cpu_user_ns = cpu["user_usec"] * 1000;
    stats.cpu_system_ns = cpu["system_usec"] * 1000;
    stats.periods = cpu["nr_periods"];
    stats.throttled_periods = cpu["nr_throttled"];
    stats.throttled_ns = cpu["throttled_usec"] * 1000;
    stats.memory_usage = number_or_zero(directory, "memory.current");
    stats.memory_max_usage = number_or_zero(directory, "memory.peak");
    stats.memory_limit = number_or_zero(directory, "memory.max", UINT64_MAX);
    stats.memory = table_or_empty(directory, "memory.stat");
    stats.memory_fail_count = table_or_empty(directory, "memory.events")["max"];
    stats.pids_current = number_or_zero(directory, "pids.current");
    stats.pids_limit = number_or_zero(directory, "pids.max");
    add_block_version2(directory, stats);
}

} // namespace berth::kernel::cgroup_files
