// SPDX-License-Identifier: Apache-2.0
// Numbers by hand: a header is a stranger's.
#include "registry/server/byte_range.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::registry {

namespace {

bool is_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// A number that is too large for any file is as good as the largest.
std::uint64_t number_of(std::string_view digits) {
    return parse_number<std::uint64_t>(digits).value_or(UINT64_MAX);
}

} // namespace

Result<std::optional<ByteRange>> parse_range(std::string_view header, std::uint64_t size) {
    std::optional<ByteRange> whole;
    std::string_view text = trim(header);
    if (!text.starts_with("bytes=") || text.find(',') != std::string_view::npos || size == 0) {
        return whole;
    }
    std::optional<Cut> parts = cut(trim(text.substr(6)), "-");
    bool suffix = parts && parts->before.empty();
    bool malformed = !parts || (!suffix && !is_digits(parts->before)) ||
                     ((suffix || !parts->after.empty()) && !is_digits(parts->after));
    if (malformed) {
        return invalid_argument("malformed range");
    }
    std::uint64_t last = parts->after.empty() ? UINT64_MAX : number_of(parts->after);
    if (suffix) {
        std::uint64_t count = std::min(last, size);
        if (count == 0) {
            return invalid_argument("range not satisfiable");
        }
        return std::optional(ByteRange{size - count, size - 1});
    }
    std::uint64_t first = number_of(parts->before);
    if (first >= size || last < first) {
        return invalid_argument("range not satisfiable");
    }
    return std::optional(ByteRange{first, std::min(last, size - 1)});
}

Result<ByteRange> parse_content_range(std::string_view header) {
    std::string_view text = trim(header);
    if (text.starts_with("bytes ")) {
        text.remove_prefix(6);
    }
    text = text.substr(0, text.find('/'));
    std::optional<Cut> parts = cut(text, "-");
    auto first = parse_number<std::uint64_t>(parts ? parts->before : std::string_view());
    auto last = parse_number<std::uint64_t>(parts ? parts->after : std::string_view());
    if (!first.ok() || !last.ok() || *last < *first || *last == UINT64_MAX) {
        return invalid_argument("malformed Content-Range \"" + std::string(header) + "\"");
    }
    return ByteRange{*first, *last};
}

} // namespace berth::registry
