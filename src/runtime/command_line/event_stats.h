// SPDX-License-Identifier: Apache-2.0
// The statistics of a container as `events` prints them: runc's types/events.go.
#pragma once

#include "codec/json.h"
#include "kernel/cgroup.h"

namespace berth::runtime::command_line {

Result<json::Value> stats_of(const kernel::Cgroup& cgroup);

// "0-2,5" of cpuset files.
Result<std::vector<std::uint16_t>> parse_number_list(std::string_view text);

} // namespace berth::runtime::command_line
