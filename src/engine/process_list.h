// SPDX-License-Identifier: Apache-2.0
// Processes as ps prints them, from /proc: for machines that have no ps.
#pragma once

#include "base/result.h"
#include "engine/containers.h"

#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::engine {

// "" and "-ef": UID PID PPID C STIME TTY TIME CMD; "aux": USER PID %CPU %MEM VSZ RSS TTY STAT START
// TIME COMMAND. Other arguments are NotImplemented. Processes that end meanwhile are left out.
Result<TopResult> list_processes(const std::vector<pid_t>& pids, const std::string& ps_arguments);

} // namespace berth::engine
