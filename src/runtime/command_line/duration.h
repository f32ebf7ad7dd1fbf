// SPDX-License-Identifier: Apache-2.0
// Go's notation for durations: "5s", "1m30s", "1.5h", "100ms".
#pragma once

#include "base/result.h"

#include <chrono>
#include <string_view>

namespace berth::runtime::command_line {

Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

} // namespace berth::runtime::command_line
