// SPDX-License-Identifier: Apache-2.0
// Points in time as nanoseconds since the epoch, RFC 3339 text as Go prints it, and an injectable
// clock.
#pragma once

#include "base/result.h"

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth {

// UTC wall clock. Zero means "never": Docker prints it as 0001-01-01T00:00:00Z.
struct Timestamp {
    std::int64_t nanoseconds = 0;

    static Timestamp now();

    static Timestamp from_seconds(std::int64_t seconds) { return {seconds * 1'000'000'000}; }

    bool is_zero() const { return nanoseconds == 0; }

    std::int64_t seconds() const { return nanoseconds / 1'000'000'000; }

    auto operator<=>(const Timestamp&) const = default;
};

// Go's time.RFC3339Nano: "2026-01-02T03:04:05.123456789Z", trailing zeros of the fraction cut.
std::string format_rfc3339(Timestamp time);

// The same with the fraction always nine digits wide, as `docker logs --timestamps` prints it.
std::string format_rfc3339_fixed(Timestamp time);

// RFC 3339 with any offset and 0 to 9 fraction digits; "0001-01-01T00:00:00Z" gives zero.
Result<Timestamp> parse_rfc3339(std::string_view text);

// Go's time.ParseDuration: "1h30m", "100ms", "2s", "-1.5h".
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

} // namespace berth
