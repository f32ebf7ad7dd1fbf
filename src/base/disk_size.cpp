// SPDX-License-Identifier: Apache-2.0
// https://man7.org/linux/man-pages/man3/fts.3.html
#include "base/disk_size.h"

#include <memory>
#include <set>
#include <utility>

#include <fts.h>
#include <sys/stat.h>

namespace berth {

std::uint64_t disk_size(const std::string& path, CountDirectories directories) {
    std::string root = path;
    char* const roots[] = {root.data(), nullptr};
    const std::unique_ptr<FTS, int (*)(FTS*)> walk(
        ::fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr), ::fts_close);
    std::set<std::pair<dev_t, ino_t>> seen; // of those with several names
    std::uint64_t size = 0;
    while (const FTSENT* entry = walk ? ::fts_read(walk.get()) : nullptr) {
        const bool is_directory = entry->fts_info == FTS_D;
        if ((is_directory && directories == CountDirectories::No) || entry->fts_info == FTS_DP ||
            entry->fts_info == FTS_NS) {
            continue;
        }
        const struct stat& status = *entry->fts_statp;
        if (!is_directory && status.st_nlink > 1 &&
            !seen.emplace(status.st_dev, status.st_ino).second) {
            continue;
        }
        constexpr std::uint64_t block_bytes = 512;
        size += static_cast<std::uint64_t>(status.st_blocks) * block_bytes;
    }
    return size;
}

} // namespace berth
