// SPDX-License-Identifier: Apache-2.0
// Spans of time in Docker's words.
#pragma once

#include <cstdint>
#include <string>

namespace berth {

// "Less than a second", "5 seconds", "About a minute", "3 weeks".
std::string human_duration(std::int64_t seconds);

} // namespace berth
