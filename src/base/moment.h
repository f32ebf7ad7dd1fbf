// SPDX-License-Identifier: Apache-2.0
// Points in time as people give them to --since, --until and the filter "until".
#pragma once

#include "base/time.h"

namespace berth {

// "24h" (so long ago), "1700000000.5" (seconds since the epoch), "2026-01-02T03:04:05Z", and dates
// with less: without an offset they are of the machine's time zone, what is missing behind the day
// is zero. InvalidArgument in Docker's words.
Result<Timestamp> parse_moment(std::string_view text);

} // namespace berth
