// SPDX-License-Identifier: Apache-2.0
// RFC 3339 and Go durations; calendar arithmetic is std::chrono's.
#include "base/time.h"

#include "base/strings.h"

#include <cstdio>

#include <time.h>

namespace berth {

namespace {

constexpr std::int64_t second = 1'000'000'000;

std::string format_seconds(Timestamp time, std::int64_t& fraction) {
    std::int64_t seconds = time.nanoseconds / second;
    fraction = time.nanoseconds % second;
    if (fraction < 0) {
        fraction += second;
        --seconds;
    }
    std::chrono::sys_seconds point{std::chrono::seconds(seconds)};
    auto day = std::chrono::floor<std::chrono::days>(point);
    std::chrono::year_month_day date(day);
    std::chrono::hh_mm_ss clock(point - day);
    char text[64];
    std::snprintf(
        text,
        sizeof text,
        "%04d-%02u-%02uT%02d:%02d:%02d",
        static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day()),
        static_cast<int>(clock.hours().count()),
        static_cast<int>(clock.minutes().count()),
        static_cast<int>(clock.seconds().count()));
    return text;
}

std::string nine_digits(std::int64_t fraction) {
    std::string digits = std::to_string(fraction);
    return std::string(9 - digits.size(), '0') + digits;
}

Error bad_time(std::string_view text) {
    return invalid_argument("\"" + std::string(text) + "\" is not an RFC 3339 time");
}

// Digits at text's front as a number; removes them.
Result<int> take_digits(std::string_view& text, std::size_t count) {
    if (text.size() < count) {
        return invalid_argument("too short");
    }
    int value = TRY(parse_number<int>(text.substr(0, count)));
    if (text.front() == '-') {
        return invalid_argument("a sign among digits");
    }
    text.remove_prefix(count);
    return value;
}

Result<void> take_character(std::string_view& text, char expected) {
    if (text.empty() || text.front() != expected) {
        return invalid_argument("unexpected character");
    }
    text.remove_prefix(1);
    return ok();
}

Result<std::int64_t> parse_fraction(std::string_view& text) {
    std::int64_t nanoseconds = 0;
    std::int64_t scale = second / 10;
    std::size_t used = 0;
    while (used < text.size() && text[used] >= '0' && text[used] <= '9') {
        nanoseconds += (text[used] - '0') * scale;
        scale /= 10;
        ++used;
    }
    if (used == 0) {
        return invalid_argument("empty fraction");
    }
    text.remove_prefix(used);
    return nanoseconds;
}

Result<Timestamp> parse_fields(std::string_view text) {
    int year = TRY(take_digits(text, 4));
    TRY(take_character(text, '-'));
    int month = TRY(take_digits(text, 2));
    TRY(take_character(text, '-'));
    int day = TRY(take_digits(text, 2));
    TRY(take_character(text, 'T'));
    int hour = TRY(take_digits(text, 2));
    TRY(take_character(text, ':'));
    int minute = TRY(take_digits(text, 2));
    TRY(take_character(text, ':'));
    int seconds = TRY(take_digits(text, 2));
    std::int64_t fraction = 0;
    if (!text.empty() && text.front() == '.') {
        text.remove_prefix(1);
        fraction = TRY(parse_fraction(text));
    }
    std::int64_t offset_minutes = 0;
    if (text == "Z" || text == "z") {
        text = {};
    } else if (text.size() == 6 && (text.front() == '+' || text.front() == '-')) {
        const std::int64_t sign = text.front() == '-' ? -1 : 1;
        text.remove_prefix(1);
        const std::int64_t hours = TRY(take_digits(text, 2));
        TRY(take_character(text, ':'));
        offset_minutes = sign * (hours * 60 + TRY(take_digits(text, 2)));
    } else {
        return invalid_argument("no time zone");
    }
    std::chrono::year_month_day date{
        std::chrono::year(year),
        std::chrono::month(static_cast<unsigned>(month)),
        std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok() || hour > 23 || minute > 59 || seconds > 60) {
        return invalid_argument("a field out of range");
    }
    if (year == 1) {
        return Timestamp{};
    }
    std::int64_t total = std::chrono::sys_days(date).time_since_epoch().count() * 86400 +
                         hour * 3600L + minute * 60L + seconds - offset_minutes * 60;
    // Nanoseconds in 64 bits reach from 1678 to 2261.
    if (year < 1678 || year > 2261) {
        return invalid_argument("a year out of range");
    }
    return Timestamp{total * second + fraction};
}

struct Unit {
    std::string_view name;
    double nanoseconds;
};

// The longest name that fits wins: "ms" is not "m".
constexpr Unit duration_units[] = {
    {"ns", 1},
    {"us", 1e3},
    {"\u00b5s", 1e3},
    {"ms", 1e6},
    {"s", 1e9},
    {"m", 60e9},
    {"h", 3600e9},
};

} // namespace

Timestamp Timestamp::now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return {now.tv_sec * second + now.tv_nsec};
}

std::string format_rfc3339(Timestamp time) {
    if (time.is_zero()) {
        return "0001-01-01T00:00:00Z";
    }
    std::int64_t fraction = 0;
    std::string text = format_seconds(time, fraction);
    if (fraction != 0) {
        std::string digits = nine_digits(fraction);
        digits.erase(digits.find_last_not_of('0') + 1);
        text += "." + digits;
    }
    return text + "Z";
}

std::string format_rfc3339_fixed(Timestamp time) {
    std::int64_t fraction = 0;
    std::string text = format_seconds(time, fraction);
    return text + "." + nine_digits(fraction) + "Z";
}

Result<Timestamp> parse_rfc3339(std::string_view text) {
    Result<Timestamp> parsed = parse_fields(text);
    if (!parsed.ok()) {
        return bad_time(text);
    }
    return parsed;
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    auto bad = [&] {
        return invalid_argument("time: invalid duration \"" + std::string(text) + "\"");
    };
    std::string_view rest = text;
    double sign = 1;
    if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) {
        sign = rest.front() == '-' ? -1 : 1;
        rest.remove_prefix(1);
    }
    if (rest == "0") {
        return std::chrono::nanoseconds(0);
    }
    if (rest.empty()) {
        return bad();
    }
    double total = 0;
    while (!rest.empty()) {
        double number = 0;
        auto [end, error] = std::from_chars(
            rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
        if (error != std::errc() || number < 0) {
            return bad();
        }
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        const Unit* found = nullptr;
        for (const Unit& unit : duration_units) {
            if (rest.starts_with(unit.name) && (!found || unit.name.size() > found->name.size())) {
                found = &unit;
            }
        }
        if (!found) {
            return bad();
        }
        rest.remove_prefix(found->name.size());
        total += number * found->nanoseconds;
    }
    if (total >= 9.2e18) {
        return bad();
    }
    return std::chrono::nanoseconds(static_cast<std::int64_t>(sign * total));
}

} // namespace berth
