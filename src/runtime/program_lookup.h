// SPDX-License-Identifier: Apache-2.0
// Which file a command names, with the error sentences that Docker's clients look for.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

// Value of a variable in a list of "NAME=value"; the last one counts.
std::optional<std::string_view>
environment_value(const std::vector<std::string>& environment, std::string_view name);

// In the calling process's root, directory and identity. NotFound or Forbidden as Go's
// exec.LookPath words it.
Result<std::string> find_executable(std::string_view command, std::string_view path_variable);

} // namespace berth::runtime
