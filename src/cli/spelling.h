// SPDX-License-Identifier: Apache-2.0
// The several ways to write one command: "container ls", "container list", "container ps", "ps".
#pragma once

#include "cli/command.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

// "container ls" for "container list"; what is no second name comes back as it is.
std::string_view first_spelling(std::string_view path);

// All of them in docker's order, the group's ahead of the short one.
std::vector<std::string_view> spellings(const Command& command);

} // namespace berth::cli
