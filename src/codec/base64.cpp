// SPDX-License-Identifier: Apache-2.0
// Base64 by table.
#include "codec/base64.h"

#include <array>
#include <cstdint>

namespace berth {

namespace {

constexpr std::string_view standard_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::int8_t, 256> make_values() {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < 64; ++i) {
        values[static_cast<unsigned char>(standard_digits[i])] = static_cast<std::int8_t>(i);
        values[static_cast<unsigned char>(url_digits[i])] = static_cast<std::int8_t>(i);
    }
    return values;
}

constexpr std::array<std::int8_t, 256> digit_values = make_values();

} // namespace

std::string base64_encode(std::string_view bytes, Base64Alphabet alphabet) {
    const std::string_view digits =
        alphabet == Base64Alphabet::Standard ? standard_digits : url_digits;
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        const std::size_t length = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t k = 0; k < 3; ++k) {
            group = group << 8 | (k < length ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            out += k <= length ? digits[group >> (18 - 6 * k) & 63U] : '=';
        }
    }
    return out;
}

Result<std::string> base64_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size() / 4 * 3 + 3);
    std::uint32_t bits = 0;
    unsigned count = 0;
    std::size_t padding = 0;
    std::size_t digits = 0;
    for (const char c : text) {
        if (c == '\r' || c == '\n') {
            continue;
        }
        if (c == '=') {
            ++padding;
            continue;
        }
        const std::int8_t value = digit_values[static_cast<unsigned char>(c)];
        if (value < 0 || padding > 0) {
            return invalid_argument("illegal base64 data");
        }
        ++digits;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out += static_cast<char>(bits >> count & 0xffU);
        }
    }
    // One digit of a group holds no byte; padding, when there is some, completes the group.
    if (digits % 4 == 1 || padding > 2 || (padding > 0 && (digits + padding) % 4 != 0)) {
        return invalid_argument("illegal base64 data");
    }
    return out;
}

} // namespace berth
