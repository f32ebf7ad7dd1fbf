// SPDX-License-Identifier: Apache-2.0
// Signals as `kill` takes them: "9", "KILL", "SIGKILL", "sigkill", "RTMIN+1".
#pragma once

#include "base/result.h"

#include <string_view>

namespace berth::runtime::command_line {

Result<int> parse_signal(std::string_view text);

} // namespace berth::runtime::command_line
