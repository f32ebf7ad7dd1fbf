// SPDX-License-Identifier: Apache-2.0
// Paths of a container, as docker cp names and sees them.
#pragma once

#include "base/result.h"
#include "base/time.h"

#include <cstdint>
#include <functional>
#include <string>

namespace berth::engine {

// What is at a path of a container, a link itself.
struct PathStat {
    std::string name;
    std::int64_t size = 0;
    std::uint32_t mode = 0; // Go's os.FileMode
    Timestamp mtime;
    std::string link_target; // of a link: where it leads in the end
};

using ArchiveBegin = std::function<Result<void>(const PathStat& stat)>;

struct ArchiveTarget {
    std::string path;        // of a directory
    bool keep_kinds = false; // a directory takes the place of directories only
    bool users_own = false;  // the container's user gets what is extracted
};

} // namespace berth::engine
