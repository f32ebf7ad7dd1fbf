// SPDX-License-Identifier: Apache-2.0
// berth-runtime's command line: runc's commands and flags, as Docker, containerd and Podman call
// them.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace berth::runtime::command_line {

// Exit status. Errors go to standard error and to --log.
int run(const std::vector<std::string>& arguments);

// True for commands that put this program into a container (create, run, exec): main then protects
// the program's file first.
bool enters_containers(const std::vector<std::string>& arguments);

} // namespace berth::runtime::command_line
