// SPDX-License-Identifier: Apache-2.0
// docker's arithmetic, on samples of both versions of control groups.
#include "cli/stats_row.h"

#include <gtest/gtest.h>

namespace berth::cli {

namespace {

std::string cell(const json::Object& row, std::string_view name) {
    return std::string(row.at(name).as_string());
}

} // namespace

TEST(StatsRow, ReckonsAsDockerDoes) {
    const json::Value stats = json::parse(R"({"name": "/web", "id": "0123456789abcdef",
        "cpu_stats": {"cpu_usage": {"total_usage": 3000000}, "system_cpu_usage": 40000000,
                      "online_cpus": 2},
        "memory_stats": {"usage": 3145728, "limit": 10485760,
                         "stats": {"total_inactive_file": 1048576, "inactive_file": 99}},
        "blkio_stats": {"io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 2000},
            {"major": 8, "minor": 0, "op": "write", "value": 1500000},
            {"major": 8, "minor": 0, "op": "total", "value": 1502000}]},
        "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 1}, "eth1": {"rx_bytes": 7}},
        "pids_stats": {"current": 4}})")
                                  .value();
    const CpuSample before{.used = 1'000'000, .system = 20'000'000};
    const json::Object row = stats_row(stats, &before, "web", true);
    EXPECT_EQ(cell(row, "CPUPerc"), "20.00%");
    EXPECT_EQ(cell(row, "MemUsage"), "2MiB / 10MiB");
    EXPECT_EQ(cell(row, "MemPerc"), "20.00%");
    EXPECT_EQ(cell(row, "BlockIO"), "2kB / 1.5MB");
    EXPECT_EQ(cell(row, "NetIO"), "1.01kB / 1B");
    EXPECT_EQ(cell(row, "PIDs"), "4");
    EXPECT_EQ(cell(row, "Name"), "web");
    EXPECT_EQ(cell(row, "ID"), "0123456789ab");
    EXPECT_EQ(cell(stats_row(stats, nullptr, "web", false), "ID"), "0123456789abcdef");
}

TEST(StatsRow, AContainerThatDoesNotRunUsesNothing) {
    const json::Object row = stats_row(
        json::parse(R"({"name": "/made", "id": "ab", "cpu_stats": {"cpu_usage": {"total_usage": 0}},
            "memory_stats": {}, "blkio_stats": {"io_service_bytes_recursive": null}})")
            .value(),
        nullptr,
        "made",
        true);
    EXPECT_EQ(cell(row, "CPUPerc"), "0.00%");
    EXPECT_EQ(cell(row, "MemUsage"), "0B / 0B");
    EXPECT_EQ(cell(row, "NetIO"), "0B / 0B");
    EXPECT_EQ(cell(row, "PIDs"), "0");
}

} // namespace berth::cli
