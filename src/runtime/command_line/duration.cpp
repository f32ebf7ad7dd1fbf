// SPDX-License-Identifier: Apache-2.0
// time.ParseDuration without signs.
#include "runtime/command_line/duration.h"

#include <array>
#include <charconv>
#include <string>

namespace berth::runtime::command_line {

namespace {

struct Unit {
    std::string_view name;
    double nanoseconds;
};

constexpr auto units = std::to_array<Unit>(
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}});

constexpr double longest = 9.2e18;

} // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    auto bad = [text] {
        return invalid_argument("invalid duration \"" + std::string(text) + "\"");
    };
    if (text == "0") {
        return std::chrono::nanoseconds(0);
    }
    double total = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        double number = 0;
        auto [end, error] = std::from_chars(
            rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
        if (error != std::errc() || number < 0) {
            return bad();
        }
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        std::string_view name = rest.substr(0, rest.find_first_of("0123456789."));
        double factor = 0;
        for (const Unit& unit : units) {
            factor = unit.name == name ? unit.nanoseconds : factor;
        }
        total += number * factor;
        if (factor == 0 || total > longest) {
            return bad();
        }
        rest.remove_prefix(name.size());
    }
    if (text.empty()) {
        return bad();
    }
    return std::chrono::nanoseconds(static_cast<std::int64_t>(total));
}

} // namespace berth::runtime::command_line
