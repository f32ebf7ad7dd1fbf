// SPDX-License-Identifier: Apache-2.0
// Copies of trees that containers or images made: the first content of a volume, and clones. Every
// step is made by descriptor without following links.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>

namespace berth::engine {

// What overlayfs keeps for itself does not leave an image's tree; in a volume it is content.
enum class OverlayAttributes : std::uint8_t { Leave, Copy };

// Everything in `from` into the empty directory `to`, with owners, modes, times, extended
// attributes, hard links and holes; data is shared where the file system can (reflinks).
Result<void> copy_tree(FdRef from, FdRef to, OverlayAttributes overlay);

// Owner, mode, times and extended attributes of a directory itself.
Result<void> copy_directory_attributes(FdRef from, FdRef to, OverlayAttributes overlay);

} // namespace berth::engine
