// SPDX-License-Identifier: Apache-2.0
// The bytes of a tar header, shared by the reader and the writer.
// https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06 and
// https://www.gnu.org/software/tar/manual/html_node/Standard.html
#pragma once

#include "base/result.h"
#include "codec/tar.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tar::format {

inline constexpr std::size_t block_bytes = 512;

using Block = std::array<char, block_bytes>;

struct Range {
    std::size_t offset;
    std::size_t length;
};

inline constexpr Range name{0, 100};
inline constexpr Range mode{100, 8};
inline constexpr Range uid{108, 8};
inline constexpr Range gid{116, 8};
inline constexpr Range size{124, 12};
inline constexpr Range mtime{136, 12};
inline constexpr Range checksum{148, 8};
inline constexpr std::size_t type = 156;
inline constexpr Range link_name{157, 100};
inline constexpr Range magic{257, 8}; // with the version
inline constexpr Range user_name{265, 32};
inline constexpr Range group_name{297, 32};
inline constexpr Range device_major{329, 8};
inline constexpr Range device_minor{337, 8};
inline constexpr Range prefix{345, 155};
// GNU's old sparse format, in the place of the prefix.
inline constexpr std::size_t gnu_sparse = 386; // four pairs of 12 + 12 bytes
inline constexpr std::size_t gnu_sparse_pairs = 4;
inline constexpr std::size_t gnu_is_extended = 482;
inline constexpr Range gnu_real_size{483, 12};
// One extension block of it.
inline constexpr std::size_t gnu_extension_pairs = 21;
inline constexpr std::size_t gnu_extension_is_extended = 504;

inline constexpr std::string_view ustar_magic{"ustar\00000", 8};
inline constexpr std::string_view gnu_magic{"ustar  \0", 8};

inline std::string_view field(const Block& block, Range range) {
    return {block.data() + range.offset, range.length};
}

// The field up to its first NUL.
std::string text_field(const Block& block, Range range);

// Octal digits between spaces and NULs, or base-256 (first bit set); DataLoss for anything else.
Result<std::int64_t> number_field(const Block& block, Range range);

// The sum of the header's bytes with the checksum taken as spaces, as unsigned and as signed
// characters: old writers did the latter.
struct Sums {
    std::int64_t unsigned_sum;
    std::int64_t signed_sum;
};

Sums header_sums(const Block& block);

using tar::Segment;

struct PaxRecords {
    std::map<std::string, std::string> values;
    // Format 0.0 repeats its keys, so they are gathered here.
    std::vector<Segment> sparse_segments;
};

// Reads "length key=value\n" records into `records`; an empty value removes the key.
Result<void> parse_pax(std::string_view text, std::size_t segment_limit, PaxRecords& records);
std::string format_pax(const std::map<std::string, std::string>& records);

// "1.5" or "-1.5" as nanoseconds, beyond the range of int64 the nearest value; and back.
Result<std::int64_t> parse_pax_time(std::string_view text);
std::string format_pax_time(std::int64_t nanoseconds);

Error damaged(std::string_view what);

} // namespace berth::tar::format
