// SPDX-License-Identifier: Apache-2.0
// The whole command line: global flags, the command, its exit code.
#pragma once

#include <string>
#include <vector>

namespace berth::cli {

// `arguments` without the program's name; `executable` is our own path. Prints errors itself.
int run_command_line(const std::string& executable, const std::vector<std::string>& arguments);

} // namespace berth::cli
