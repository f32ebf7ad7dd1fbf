// SPDX-License-Identifier: Apache-2.0
// Small text functions over string_view; ASCII only, no locale.
#pragma once

#include "base/result.h"

#include <algorithm>
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

// Always at least one part; empty parts are kept.
std::vector<std::string_view> split(std::string_view text, char separator);
// The parts would outlive a temporary's characters.
template <std::same_as<std::string> Temporary>
std::vector<std::string_view> split(Temporary&& text, char separator) = delete;

// The parts before and after the first separator; nullopt when there is none.
struct Cut {
    std::string_view before;
    std::string_view after;
};

std::optional<Cut> cut(std::string_view text, std::string_view separator);
std::optional<Cut> cut_last(std::string_view text, std::string_view separator);

// Words separated by ASCII white space; never empty ones.
std::vector<std::string_view> words(std::string_view text);

std::string_view trim(std::string_view text);

// Whether the text is one of a list's.
bool contains(const auto& list, std::string_view text) {
    return std::ranges::find(list, text) != std::ranges::end(list);
}

std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

// True when text matches a shell pattern of * ? [a-z] and \, where * and ? do not match '/'
// (Go's path.Match); InvalidArgument for a malformed pattern.
Result<bool> glob_match(std::string_view pattern, std::string_view text);

// The whole text as a decimal number in T's range; "+5", " 5" and "5x" are errors.
template <std::integral T>
Result<T> parse_number(std::string_view text, int base = 10) {
    T value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
        return invalid_argument("\"" + std::string(text) + "\" is not a number in range");
    }
    return value;
}

std::string to_hex(std::string_view bytes);
Result<std::string> from_hex(std::string_view text);

// "/a//b/../c/." -> "/a/c"; as Go's path.Clean, purely lexical.
std::string clean_path(std::string_view path);

} // namespace berth
