// SPDX-License-Identifier: Apache-2.0
// Empty directories that were made ahead of demand. On ext4 a directory that begins in a block
// group of its own (kernel/block_groups.h) takes 0.15 to 0.4 ms, as the kernel looks at all groups;
// to give one another name takes 0.01. A container has two.
#pragma once

#include "base/result.h"
#include "base/stock.h"

#include <cstddef>
#include <memory>
#include <string>

#include <sys/types.h>

namespace berth::engine {

// Thread-safe.
class SpareDirectories {
  public:
    struct Options {
        std::string place; // for these alone: emptied at the first refill
        std::size_t count = 0;
        Later later;
    };

    explicit SpareDirectories(Options options);
    SpareDirectories(const SpareDirectories&) = delete;
    SpareDirectories& operator=(const SpareDirectories&) = delete;
    ~SpareDirectories();

    // As make_directories(), from what is there. The first one is made where it is wanted, and asks
    // for spare ones: an engine that makes no container has none.
    Result<void> make(const std::string& path, mode_t mode);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace berth::engine
