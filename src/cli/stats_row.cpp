// SPDX-License-Identifier: Apache-2.0
// The arithmetic of docker's cli/command/container/stats_helpers.go.
#include "cli/stats_row.h"

#include "base/strings.h"
#include "cli/listing.h"
#include "cli/table.h"

#include <cstdio>

namespace berth::cli {

namespace {

double number_at(const json::Value& value, std::string_view name) {
    return static_cast<double>(number_of(value, name));
}

const json::Value& member(const json::Value& value, std::string_view name) {
    static const json::Value nothing = json::Object();
    const json::Value* found = json::find(value, name);
    return found == nullptr ? nothing : *found;
}

std::string percent(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f%%", value);
    return text;
}

double cpu_percent(const json::Value& stats, const CpuSample& before) {
    const CpuSample now = cpu_sample(stats);
    const json::Value& cpu = member(stats, "cpu_stats");
    double cpus = number_at(cpu, "online_cpus");
    if (cpus == 0) {
        cpus = static_cast<double>(list_of(member(cpu, "cpu_usage"), "percpu_usage").size());
    }
    const double used = now.used - before.used;
    const double system = now.system - before.system;
    return system > 0 && used > 0 ? used / system * cpus * 100 : 0;
}

// Without the page cache that goes at once when memory is short.
double memory_used(const json::Value& memory) {
    const double usage = number_at(memory, "usage");
    const json::Value& details = member(memory, "stats");
    for (const char* name : {"total_inactive_file", "inactive_file"}) { // version 1, version 2
        const double cache = number_at(details, name);
        if (json::find(details, name) != nullptr && cache < usage) {
            return usage - cache;
        }
    }
    return usage;
}

std::string pair_of(std::int64_t in, std::int64_t out) {
    return human_size(in) + " / " + human_size(out);
}

std::string network_io(const json::Value& stats) {
    std::int64_t received = 0;
    std::int64_t sent = 0;
    const json::Value& networks = member(stats, "networks");
    if (networks.is_object()) {
        for (const auto& [name, network] : networks.get_object()) {
            received += number_of(network, "rx_bytes");
            sent += number_of(network, "tx_bytes");
        }
    }
    return pair_of(received, sent);
}

std::string block_io(const json::Value& stats) {
    std::int64_t read = 0;
    std::int64_t written = 0;
    for (const json::Value& entry :
         list_of(member(stats, "blkio_stats"), "io_service_bytes_recursive")) {
        const std::string operation = to_lower(text_of(entry, "op"));
        if (operation.starts_with('r')) {
            read += number_of(entry, "value");
        } else if (operation.starts_with('w')) {
            written += number_of(entry, "value");
        }
    }
    return pair_of(read, written);
}

} // namespace

CpuSample cpu_sample(const json::Value& stats) {
    const json::Value& cpu = member(stats, "cpu_stats");
    return {
        .used = number_at(member(cpu, "cpu_usage"), "total_usage"),
        .system = number_at(cpu, "system_cpu_usage")};
}

json::Object stats_row(
    const json::Value& stats, const CpuSample* before, const std::string& name, bool truncate) {
    const json::Value& memory = member(stats, "memory_stats");
    const double used = memory_used(memory);
    const double limit = number_at(memory, "limit");
    const std::string id = text_of(stats, "id");
    std::string own_name = text_of(stats, "name");
    if (own_name.starts_with('/')) {
        own_name.erase(0, 1);
    }
    return json::Object{
        {"BlockIO", block_io(stats)},
        {"CPUPerc", percent(before == nullptr ? 0 : cpu_percent(stats, *before))},
        {"Container", name},
        {"ID", truncate ? short_id(id) : id},
        {"MemPerc", percent(limit > 0 ? used / limit * 100 : 0)},
        {"MemUsage", binary_size(used) + " / " + binary_size(limit)},
        {"Name", own_name},
        {"NetIO", network_io(stats)},
        {"PIDs", std::to_string(number_of(member(stats, "pids_stats"), "current"))}};
}

} // namespace berth::cli
