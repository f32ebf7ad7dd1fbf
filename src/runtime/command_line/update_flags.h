// SPDX-License-Identifier: Apache-2.0
// What `update` shall change: --resources FILE, or flags.
#pragma once

#include "oci/runtime_resources.h"
#include "runtime/command_line/flags.h"

#include <string_view>

namespace berth::runtime::command_line {

// REQUIRES: no --resources.
Result<oci::Resources> resources_from_flags(const Flags& flags);

// "512m", "1.5GiB", "100kb", "4096": powers of 1024 (docker/go-units' RAMInBytes).
Result<std::int64_t> parse_memory_size(std::string_view text);

} // namespace berth::runtime::command_line
