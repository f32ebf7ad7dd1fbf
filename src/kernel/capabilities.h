// SPDX-License-Identifier: Apache-2.0
// Capabilities as names and bit sets: capabilities(7).
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace berth::kernel {

using CapabilitySet = std::uint64_t;

// "CAP_CHOWN" -> 0; nullopt for names that this program does not know.
std::optional<int> capability_number(std::string_view name);
std::string_view capability_name(int number);

// The highest number that this kernel knows.
int last_capability();

// Names that the kernel lacks are left out; unknown ones are InvalidArgument.
Result<CapabilitySet> capability_set(std::span<const std::string> names);

struct CapabilitySets {
    CapabilitySet bounding = 0;
    CapabilitySet effective = 0;
    CapabilitySet permitted = 0;
    CapabilitySet inheritable = 0;
    CapabilitySet ambient = 0;
};

// Of the calling thread. The bounding set goes first, while CAP_SETPCAP is still there.
Result<void> drop_bounding_capabilities(CapabilitySet keep);
Result<void> set_capabilities(const CapabilitySets& sets);

} // namespace berth::kernel
