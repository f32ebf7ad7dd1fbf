// SPDX-License-Identifier: Apache-2.0
// Hands what was written to a file to the disk while more comes, so that a sync at the end has
// little left to wait for. https://man7.org/linux/man-pages/man2/sync_file_range.2.html
#pragma once

#include "base/unique_fd.h"

#include <cstdint>

#include <fcntl.h>

namespace berth {

class WriteBehind {
  public:
    // start: the file's position where writing begins.
    explicit WriteBehind(std::uint64_t start = 0)
        : flushed_(start) {}

    // Everything before `end` is written. Nothing is promised: only a sync tells of errors.
    void wrote_until(FdRef file, std::uint64_t end) {
        constexpr std::uint64_t step = 8U << 20;
        if (end - flushed_ >= step) {
            (void)sync_file_range(
                file.get(),
                static_cast<off64_t>(flushed_),
                static_cast<off64_t>(end - flushed_),
                SYNC_FILE_RANGE_WRITE);
            flushed_ = end;
        }
    }

  private:
    std::uint64_t flushed_;
};

} // namespace berth
