// SPDX-License-Identifier: Apache-2.0
// The run flags about devices: which a container gets, and how fast it may use them.
#pragma once

#include "base/result.h"
#include "cli/flags.h"
#include "codec/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::cli {

struct DeviceFlags {
    // The object must outlive flags.parse().
    void declare(Flags& flags);

    // Into a HostConfig.
    Result<void> apply(json::Object& host_config) const;

    std::vector<std::string> devices;
    std::vector<std::string> cgroup_rules;
    std::vector<std::string> gpus;
    std::optional<std::int64_t> weight;
    std::vector<std::string> weights; // "/dev/sda:200"
    std::vector<std::string> read_bytes;
    std::vector<std::string> write_bytes;
    std::vector<std::string> read_operations;
    std::vector<std::string> write_operations;
};

} // namespace berth::cli
