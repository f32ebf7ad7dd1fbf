// SPDX-License-Identifier: Apache-2.0
// A short date is completed to RFC 3339; where it has no offset, the C library knows the machine's.
#include "base/moment.h"

#include "base/strings.h"

#include <algorithm>

#include <time.h>

namespace berth {
namespace {

constexpr std::int64_t second = 1'000'000'000;

Result<Timestamp> parse_seconds(std::string_view text) {
    const auto parts = cut(text, ".");
    const auto whole = TRY(parse_number<std::int64_t>(parts ? parts->before : text));
    std::string fraction(parts ? parts->after.substr(0, 9) : std::string_view());
    fraction.append(9 - fraction.size(), '0');
    const auto nanoseconds = TRY(parse_number<std::int64_t>(fraction));
    if (whole < 0 || nanoseconds < 0) {
        return invalid_argument("a sign");
    }
    constexpr std::int64_t latest = INT64_MAX / second - 1;
    return Timestamp{std::min(whole, latest) * second + nanoseconds};
}

// "03:04" of "2026-01-02T03:04+01:00", and its "+01:00".
struct DayTime {
    std::string time;
    std::string offset; // empty: the machine's
};

DayTime split_day_time(std::string_view text) {
    const std::size_t at = text.find_first_of("zZ+-");
    if (at == std::string_view::npos) {
        return {std::string(text), ""};
    }
    return {std::string(text.substr(0, at)), std::string(text.substr(at))};
}

// The same date and time where the machine is.
Timestamp as_local(Timestamp utc) {
    const time_t seconds = utc.seconds();
    tm fields{};
    ::gmtime_r(&seconds, &fields);
    fields.tm_isdst = -1;
    return {::mktime(&fields) * second + utc.nanoseconds % second};
}

// moby's api/types/time, GetTimestamp
Result<Timestamp> parse_date(std::string_view text) {
    constexpr std::size_t day_length = 10;
    if (text.size() < day_length) {
        return invalid_argument("too short");
    }
    const std::string day(text.substr(0, day_length));
    std::string_view rest = text.substr(day_length);
    const bool has_time = rest.starts_with('T');
    if (has_time) {
        rest.remove_prefix(1);
    }
    auto [time, offset] = split_day_time(rest);
    constexpr std::string_view midnight = "00:00:00";
    const bool is_whole = !has_time || time.size() == 2 || time.size() == 5 ||
                          time.size() >= midnight.size(); // hours, minutes, seconds
    if (has_time == time.empty() || !is_whole) {
        return invalid_argument("a day, and a time behind a T");
    }
    if (time.size() < midnight.size()) {
        time += midnight.substr(time.size());
    }
    const std::string zone = offset.empty() ? "Z" : offset;
    const Timestamp parsed = TRY(parse_rfc3339(day + "T" + time + zone));
    return offset.empty() ? as_local(parsed) : parsed;
}

} // namespace

Result<Timestamp> parse_moment(std::string_view text) {
    if (const auto age = parse_duration(text); age.ok() && text != "0") {
        return Timestamp{Timestamp::now().nanoseconds - age->count()};
    }
    if (auto seconds = parse_seconds(text); seconds.ok()) {
        return seconds;
    }
    auto date = parse_date(text);
    if (!date.ok()) {
        return invalid_argument(
            "failed to parse value as time or duration: \"" + std::string(text) + "\"");
    }
    return date;
}

} // namespace berth
