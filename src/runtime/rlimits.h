// SPDX-License-Identifier: Apache-2.0
// process.rlimits: setrlimit(2).
#pragma once

#include "base/result.h"
#include "oci/runtime_process.h"

#include <vector>

#include <sys/types.h>

namespace berth::runtime {

// InvalidArgument for unknown and repeated types.
Result<void> check_rlimits(const std::vector<oci::Rlimit>& limits);

// Of process `pid`; 0 is the caller. REQUIRES: checked.
Result<void> set_rlimits(pid_t pid, const std::vector<oci::Rlimit>& limits);

} // namespace berth::runtime
