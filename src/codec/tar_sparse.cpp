// SPDX-License-Identifier: Apache-2.0
// Sparse maps; every number in them is a stranger's.
#include "codec/tar_sparse.h"

#include "base/strings.h"

namespace berth::tar::sparse {

namespace {

using format::Block;
using format::damaged;
using format::number_field;
using format::Segment;

constexpr std::size_t gnu_number = 12;

Error too_many(std::size_t limit) {
    return {
        ErrorKind::ResourceExhausted,
        "a sparse file in the archive exceeds the limit of " + std::to_string(limit) + " segments"};
}

Result<std::uint64_t> parse_decimal(std::string_view text) {
    const auto number = parse_number<std::uint64_t>(text);
    if (!number.ok()) {
        return damaged("a sparse file's map");
    }
    return *number;
}

Result<void> add_pairs(
    const Block& block,
    format::Range pairs, // where they begin, and how many
    std::size_t limit,
    std::vector<Segment>& segments) {
    for (std::size_t i = 0; i < pairs.length; ++i) {
        const std::size_t at = pairs.offset + i * 2 * gnu_number;
        if (block[at] == '\0') {
            break;
        }
        const std::int64_t offset = TRY(number_field(block, {at, gnu_number}));
        const std::int64_t length = TRY(number_field(block, {at + gnu_number, gnu_number}));
        if (offset < 0 || length < 0) {
            return damaged("a sparse file's map");
        }
        if (segments.size() >= limit) {
            return too_many(limit);
        }
        segments.push_back(
            {static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length)});
    }
    return ok();
}

} // namespace

Result<std::vector<Segment>>
read_gnu_map(const Block& header, ByteSource& source, std::size_t limit) {
    std::vector<Segment> segments;
    TRY(add_pairs(header, {format::gnu_sparse, format::gnu_sparse_pairs}, limit, segments));
    bool extended = header[format::gnu_is_extended] != '\0';
    while (extended) {
        Block extension;
        if (TRY(read_full(source, extension)) != extension.size()) {
            return damaged("it ends in the middle of a header");
        }
        const std::size_t before = segments.size();
        TRY(add_pairs(extension, {0, format::gnu_extension_pairs}, limit, segments));
        extended = extension[format::gnu_extension_is_extended] != '\0';
        // Empty extensions one after the other would never reach the limit.
        if (extended && segments.size() == before) {
            return damaged("a sparse file's map");
        }
    }
    return segments;
}

Result<std::vector<Segment>> parse_map(std::string_view list, std::size_t limit) {
    std::vector<Segment> segments;
    const auto numbers = split(list, ',');
    if (numbers.size() % 2 != 0) {
        return damaged("a sparse file's map");
    }
    if (numbers.size() / 2 > limit) {
        return too_many(limit);
    }
    for (std::size_t i = 0; i < numbers.size(); i += 2) {
        const std::uint64_t offset = TRY(parse_decimal(numbers[i]));
        const std::uint64_t length = TRY(parse_decimal(numbers[i + 1]));
        segments.push_back({offset, length});
    }
    return segments;
}

// Decimal lines, filled up to a block: how many segments, then offset and length of each.
Result<std::vector<Segment>>
read_leading_map(ByteSource& source, std::uint64_t& stored_left, std::size_t limit) {
    std::vector<std::uint64_t> numbers;
    std::string line;
    std::uint64_t wanted = 1;
    while (numbers.size() < wanted) {
        Block block;
        if (stored_left < block.size() || TRY(read_full(source, block)) != block.size()) {
            return damaged("a sparse file's map");
        }
        stored_left -= block.size();
        for (std::size_t i = 0; i < block.size() && numbers.size() < wanted; ++i) {
            if (block[i] != '\n') {
                line += block[i];
                continue;
            }
            numbers.push_back(TRY(parse_decimal(line)));
            line.clear();
            if (numbers[0] > limit) {
                return too_many(limit);
            }
            wanted = 1 + 2 * numbers[0];
        }
    }
    std::vector<Segment> segments;
    for (std::size_t i = 1; i + 1 < numbers.size(); i += 2) {
        segments.push_back({numbers[i], numbers[i + 1]});
    }
    return segments;
}

Result<void>
check_map(const std::vector<Segment>& segments, std::uint64_t size, std::uint64_t stored) {
    std::uint64_t end = 0;
    std::uint64_t total = 0;
    for (const Segment& segment : segments) {
        if (segment.offset < end || segment.offset > size ||
            segment.length > size - segment.offset) {
            return damaged("a sparse file's map");
        }
        end = segment.offset + segment.length;
        total += segment.length;
    }
    if (total != stored) {
        return damaged("a sparse file's map");
    }
    return ok();
}

} // namespace berth::tar::sparse
