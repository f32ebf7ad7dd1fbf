// SPDX-License-Identifier: Apache-2.0
// Hooks: programs of the host's administrator that run at fixed points of a container's life.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md#posix-platform-hooks
#pragma once

#include "base/result.h"
#include "oci/runtime_config.h"
#include "runtime/state.h"

#include <string>
#include <vector>

namespace berth::runtime {

// One after the other; the state goes to their standard input. They run in the bundle with exactly
// the environment that the configuration gives them (CVE-2025-23266: never the container's). The
// first that fails or takes longer than its timeout ends the list with an error.
Result<void>
run_hooks(const std::vector<oci::Hook>& hooks, const State& state, const std::string& directory);

} // namespace berth::runtime
