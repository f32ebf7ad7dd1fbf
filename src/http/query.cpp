// SPDX-License-Identifier: Apache-2.0
// Go's url.ParseQuery drops pairs with a ';' and goes on; so do we.
#include "http/query.h"

#include "base/strings.h"

namespace berth::http {

namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

bool to_bool(std::string_view value) {
    std::string lower = to_lower(trim(value));
    return !(lower.empty() || lower == "0" || lower == "no" || lower == "false" || lower == "none");
}

} // namespace

Result<std::string> percent_decode(std::string_view text, PlusIsSpace plus) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus == PlusIsSpace::Yes) {
            decoded += ' ';
        } else if (text[i] != '%') {
            decoded += text[i];
        } else {
            int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return invalid_argument(
                    "invalid URL escape \"" + std::string(text.substr(i, 3)) + "\"");
            }
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    return decoded;
}

std::string percent_encode(std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string encoded;
    encoded.reserve(text.size());
    for (char c : text) {
        if (is_unreserved(c)) {
            encoded += c;
        } else {
            auto byte = static_cast<unsigned char>(c);
            encoded += '%';
            encoded += digits[byte >> 4U];
            encoded += digits[byte & 15U];
        }
    }
    return encoded;
}

Result<Query> Query::parse(std::string_view text) {
    Query query;
    if (text.empty()) {
        return query;
    }
    for (std::string_view part : split(text, '&')) {
        if (part.empty() || part.find(';') != std::string_view::npos) {
            continue;
        }
        std::size_t equals = part.find('=');
        std::string_view name = part.substr(0, equals);
        std::string_view value =
            equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
        query.values_.emplace_back(
            TRY(percent_decode(name, PlusIsSpace::Yes)),
            TRY(percent_decode(value, PlusIsSpace::Yes)));
    }
    return query;
}

std::optional<std::string_view> Query::find(std::string_view name) const {
    for (const auto& [key, value] : values_) {
        if (key == name) {
            return value;
        }
    }
    return std::nullopt;
}

std::string_view Query::get(std::string_view name) const {
    return find(name).value_or(std::string_view());
}

std::vector<std::string_view> Query::get_all(std::string_view name) const {
    std::vector<std::string_view> found;
    for (const auto& [key, value] : values_) {
        if (key == name) {
            found.push_back(value);
        }
    }
    return found;
}

bool Query::flag(std::string_view name) const {
    return to_bool(get(name));
}

bool Query::flag_or(std::string_view name, bool fallback) const {
    std::optional<std::string_view> value = find(name);
    return value ? to_bool(*value) : fallback;
}

std::int64_t Query::number_or_zero(std::string_view name) const {
    return parse_number<std::int64_t>(get(name)).value_or(0);
}

void Query::add(std::string name, std::string value) {
    values_.emplace_back(std::move(name), std::move(value));
}

std::string Query::to_string() const {
    std::string text;
    for (const auto& [name, value] : values_) {
        if (!text.empty()) {
            text += '&';
        }
        text += percent_encode(name) + "=" + percent_encode(value);
    }
    return text;
}

} // namespace berth::http
