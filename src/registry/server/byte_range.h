// SPDX-License-Identifier: Apache-2.0
// The Range of a download and the Content-Range of an upload's piece.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::registry {

struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0; // inclusive

    std::uint64_t length() const { return last - first + 1; }
};

// "bytes=5-", "bytes=5-9", "bytes=-3" of `size` bytes. nullopt: the whole blob is to be sent, also
// for several ranges, for other units and of an empty blob (RFC 9110, 14.2). An error: malformed or
// not satisfiable.
Result<std::optional<ByteRange>> parse_range(std::string_view header, std::uint64_t size);

// "<first>-<last>" as the specification wants it, and RFC 9110's "bytes <first>-<last>/<size>".
Result<ByteRange> parse_content_range(std::string_view header);

} // namespace berth::registry
