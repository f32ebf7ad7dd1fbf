// SPDX-License-Identifier: Apache-2.0
// The metadata of an EROFS image over data that lies in the image already: inodes and directories
// are written, files are addressed where they are.
#pragma once

#include "base/result.h"
#include "codec/erofs_tree.h"
#include "codec/stream.h"

#include <array>
#include <cstdint>
#include <string>

namespace berth::erofs {

struct ImageOptions {
    std::uint64_t metadata_offset = 0; // where in the image the sink's bytes go; in whole blocks
    std::array<std::uint8_t, 16> uuid{};
};

// The bytes for format::super_offset. ResourceExhausted for what an image cannot hold: more than 2
// TiB, more than 256 KiB of attributes on one node. Sorts the tree; the same tree always gives the
// same bytes.
Result<std::string> write_metadata(Tree& tree, ByteSink& sink, const ImageOptions& options);

} // namespace berth::erofs
