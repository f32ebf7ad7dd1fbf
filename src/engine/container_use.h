// SPDX-License-Identifier: Apache-2.0
// What a container uses of the machine, and its processes.
#pragma once

#include "base/time.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace berth::engine {

struct TopResult {
    std::vector<std::string> titles;
    std::vector<std::vector<std::string>> processes;
};

struct ContainerStats {
    std::string id;
    std::string name;
    bool running = false;
    Timestamp read;
    std::uint64_t cpu_total = 0; // nanoseconds
    std::uint64_t cpu_kernel = 0;
    std::uint64_t cpu_user = 0;
    std::uint64_t system_cpu = 0;
    std::uint64_t throttled_periods = 0;
    std::uint64_t periods = 0;
    std::uint64_t throttled_time = 0;
    std::uint32_t online_cpus = 0;
    std::uint64_t memory_usage = 0;
    std::uint64_t memory_limit = 0;
    std::uint64_t memory_max_usage = 0; // version 1
    std::uint64_t memory_fail_count = 0;
    std::map<std::string, std::uint64_t> memory_stats;
    std::vector<std::uint64_t> cpu_per_cpu; // version 1
    std::uint64_t pids_current = 0;
    std::uint64_t pids_limit = 0;

    struct Network {
        std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
        std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
    };

    std::map<std::string, Network> networks;

    struct BlockEntry {
        std::uint64_t major = 0;
        std::uint64_t minor = 0;
        std::string operation;
        std::uint64_t value = 0;
    };

    std::vector<BlockEntry> block_bytes;
    std::vector<BlockEntry> block_operations;
};

} // namespace berth::engine
