// SPDX-License-Identifier: Apache-2.0
// Signals by name and number, as `docker kill --signal` and StopSignal write them.
#pragma once

#include "base/result.h"

#include <string_view>

namespace berth::engine {

// "SIGTERM", "term", "15", "SIGRTMIN+3"; InvalidArgument "invalid signal: x".
Result<int> parse_signal(std::string_view text);

} // namespace berth::engine
