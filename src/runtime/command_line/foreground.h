// SPDX-License-Identifier: Apache-2.0
// `run` and `exec` without --detach: this process stands for the container's one.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <sys/types.h>

namespace berth::runtime::command_line {

// Passes signals on, copies between the terminal (when there is one) and our own standard streams,
// waits. The result is the exit status as a shell shows it.
Result<int> stand_for(pid_t pid, UniqueFd terminal);

} // namespace berth::runtime::command_line
