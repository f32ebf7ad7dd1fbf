// SPDX-License-Identifier: Apache-2.0
// What this machine's kernel can limit.
#pragma once

#include "engine/container_config.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

// By a file of a controller of control groups, version 1, where that has it; else by a controller
// of version 2 ("": version 2 has no such limit).
struct LimitKind {
    std::string_view controller;
    std::string_view file; // "": the controller is enough
    std::string_view version2;
};

inline constexpr LimitKind limit_of_cpu_time{"cpu", "cpu.cfs_quota_us", "cpu"};

bool can_limit(const LimitKind& kind);

// Takes away what cannot be limited here, with Docker's warnings.
std::vector<std::string> discard_impossible(HostConfig& host_config);

} // namespace berth::engine
