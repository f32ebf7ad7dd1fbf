// SPDX-License-Identifier: Apache-2.0
// Two switches.
#include "codec/tar_types.h"

#include "base/verify.h"

#include <sys/stat.h>

namespace berth::tar {

std::optional<EntryType> entry_type_of(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFREG:
        return EntryType::File;
    case S_IFDIR:
        return EntryType::Directory;
    case S_IFLNK:
        return EntryType::SymbolicLink;
    case S_IFCHR:
        return EntryType::CharacterDevice;
    case S_IFBLK:
        return EntryType::BlockDevice;
    case S_IFIFO:
        return EntryType::Fifo;
    default:
        return std::nullopt;
    }
}

mode_t file_type_of(EntryType type) {
    switch (type) {
    case EntryType::File:
    case EntryType::HardLink:
        return S_IFREG;
    case EntryType::SymbolicLink:
        return S_IFLNK;
    case EntryType::CharacterDevice:
        return S_IFCHR;
    case EntryType::BlockDevice:
        return S_IFBLK;
    case EntryType::Directory:
        return S_IFDIR;
    case EntryType::Fifo:
        return S_IFIFO;
    }
    VERIFY(false);
}

} // namespace berth::tar
