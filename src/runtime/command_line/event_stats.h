// SPDX-License-Identifier: Apache-2.0
// The statistics of a container as `events` prints them: runc's types/events.go.
#pragma once

#include "codec/json.h"
#include "kernel/cgroup.h"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime::command_line {

Result<json::Value> stats_of(const kernel::Cgroup& cgroup);

// The text of cpu.pressure and its like.
json::Object pressure_object(std::string_view text);

// Of a group's directory; empty where no RDMA device is limited or used.
json::Object rdma_object(const std::string& directory);

// "0-2,5" of cpuset files.
Result<std::vector<std::uint16_t>> parse_number_list(std::string_view text);

} // namespace berth::runtime::command_line
