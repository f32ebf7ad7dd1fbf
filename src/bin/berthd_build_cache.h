// SPDX-License-Identifier: Apache-2.0
// The build cache's limits from the configuration, and its part in garbage collection: engine and
// build do not know each other.
#pragma once

#include "build/builder.h"
#include "engine/collector.h"
#include "engine/daemon_config.h"

#include <cstdint>
#include <vector>

namespace berth::bin {

// Empty when builder.gc is off.
std::vector<build::CacheRule> build_cache_policy(const engine::DaemonConfig& config);

Result<engine::CollectedPart> collect_build_cache(build::Builder& builder, std::uint64_t bound);

} // namespace berth::bin
