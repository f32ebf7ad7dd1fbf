// SPDX-License-Identifier: Apache-2.0
// Limits that a container asks for: are they possible at all?
#pragma once

#include "base/result.h"
#include "engine/container_config.h"

#include <string>
#include <vector>

namespace berth::engine {

// InvalidArgument in Docker's words; the result is warnings.
Result<std::vector<std::string>> check_resources(const HostConfig& host_config);

// Conflict, in Docker's words, where an update asks for what goes with nothing that the container
// has already.
Result<void> check_update(const HostConfig& present, const HostConfig& asked);

// What the kernel has refused, and what of a HostConfig that was: "CpuRealtimeRuntime: write …".
Error named_refusal(Error error, const HostConfig& host_config);

} // namespace berth::engine
