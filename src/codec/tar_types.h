// SPDX-License-Identifier: Apache-2.0
// A tar entry's type and the file type in a mode (inode(7)), one as the other.
#pragma once

#include "codec/tar.h"

#include <optional>

#include <sys/types.h>

namespace berth::tar {

// nullopt: a socket, which tar has not.
std::optional<EntryType> entry_type_of(mode_t mode);

// S_IF*; a hard link's is that of a file.
mode_t file_type_of(EntryType type);

} // namespace berth::tar
