// SPDX-License-Identifier: Apache-2.0
// docker top by the machine's own ps(1): any of its options, of a container's processes alone.
#pragma once

#include "base/result.h"
#include "engine/containers.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace berth::engine {

// nullopt where the machine has no ps.
Result<std::optional<TopResult>>
ask_ps(const std::vector<pid_t>& pids, const std::string& ps_arguments);

// The lines about these processes; lines about threads ("-" for the process) belong to the one
// before.
Result<TopResult> parse_ps_output(std::string_view output, const std::vector<pid_t>& pids);

} // namespace berth::engine
