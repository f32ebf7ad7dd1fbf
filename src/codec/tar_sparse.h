// SPDX-License-Identifier: Apache-2.0
// The maps of sparse files: GNU's old format and the three that pax headers carry.
// https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html
#pragma once

#include "codec/stream.h"
#include "codec/tar_format.h"

#include <vector>

namespace berth::tar::sparse {

// Four pairs in the header, then extension blocks from source.
Result<std::vector<format::Segment>>
read_gnu_map(const format::Block& header, ByteSource& source, std::size_t limit);

// Format 0.1: "offset,length,offset,length".
Result<std::vector<format::Segment>> parse_map(std::string_view list, std::size_t limit);

// Format 1.0: the file's data begins with the map; what it takes is subtracted from stored_left.
Result<std::vector<format::Segment>>
read_leading_map(ByteSource& source, std::uint64_t& stored_left, std::size_t limit);

// DataLoss unless the segments are in order, inside the file, and as long in sum as the stored
// data.
Result<void>
check_map(const std::vector<format::Segment>& segments, std::uint64_t size, std::uint64_t stored);

} // namespace berth::tar::sparse
