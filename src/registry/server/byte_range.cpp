// SPDX-License-Identifier: Apache-2.0
// Numbers by hand: a header is a stranger's.
#include "registry/server/byte_range.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::registry {

Result<std::optional<ByteRange>> parse_range(std::string_view header, std::uint64_t size) {
    std::optional<ByteRange> whole;
    if (!header.starts_with("bytes=")) {
        return whole;
    }
    std::optional<Cut> parts = cut(trim(header.substr(6)), "-");
    if (!parts || parts->after.find(',') != std::string_view::npos) {
        return whole;
    }
    auto first = parse_number<std::uint64_t>(parts->before);
    auto last = parse_number<std::uint64_t>(parts->after);
    if (parts->before.empty() && last.ok()) {
        std::uint64_t count = std::min(*last, size);
        if (count == 0) {
            return invalid_argument("range not satisfiable");
        }
        return std::optional(ByteRange{size - count, size - 1});
    }
    if (!first.ok() || (!last.ok() && !parts->after.empty()) || (last.ok() && *last < *first)) {
        return whole;
    }
    if (*first >= size) {
        return invalid_argument("range not satisfiable");
    }
    std::uint64_t end = last.ok() ? std::min(*last, size - 1) : size - 1;
    return std::optional(ByteRange{*first, end});
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
