// SPDX-License-Identifier: Apache-2.0
// Paths inside a root that is not trusted (a container's or an image's): every walk is openat2(2)
// with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, so links, ".." and races cannot lead out of it.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::kernel {

enum class FollowLinks : std::uint8_t {
    InRoot,  // links are followed, absolute ones from the root
    NotLast, // the last component is opened itself when it is a link (O_PATH | O_NOFOLLOW)
    Never,   // any link on the way is an error (ELOOP)
};

// `path` is relative to root whether it starts with '/' or not. errno is kept in the error; kinds
// are Internal.
Result<UniqueFd> open_in_root(
    FdRef root,
    std::string_view path,
    int flags,
    mode_t mode = 0,
    FollowLinks links = FollowLinks::InRoot);

// Makes missing directories of `path` (mode before umask) and opens the last one (O_PATH |
// O_DIRECTORY). Links are followed inside root; the target of a dangling one is made.
Result<UniqueFd> make_directories_in_root(FdRef root, std::string_view path, mode_t mode = 0755);

// The directory that holds the last component, and that component's name. Links before it are
// followed in root.
struct ParentAndName {
    UniqueFd parent; // O_PATH
    std::string name;
};

Result<ParentAndName> open_parent_in_root(FdRef root, std::string_view path);

// A directory or file descriptor as a path: "/proc/self/fd/N".
std::string fd_path(FdRef fd);

} // namespace berth::kernel
