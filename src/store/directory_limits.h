// SPDX-License-Identifier: Apache-2.0
// Limits of size for the directories of writable layers, where the file system has project quotas
// (kernel/project_quota.h).
#pragma once

#include "base/result.h"
#include "kernel/project_quota.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace berth::store {

// Of directories beside each other. Thread-safe; a limit outlives the object, as it is on the disk.
class DirectoryLimits {
  public:
    // REQUIRES: it is empty. NotImplemented where the file system has no project quotas.
    Result<void> limit(const std::string& directory, std::uint64_t bytes);
    // Room for what a mount makes in a directory that is full to its limit, as long as the answer
    // lives. Nothing where it has no limit.
    static std::optional<kernel::RaisedLimit> make_room(const std::string& directory);
    // Before its files are deleted. Nothing to do where it has no limit.
    void forget(const std::string& directory);

  private:
    void look_for_used(const std::string& parent);
    Result<std::uint32_t> unused() const;

    std::mutex mutex_;
    bool knows_used_ = false;
    std::set<std::uint32_t> used_; // projects of directories that are there
    std::uint32_t last_ = 0;       // given; files of removed directories may still have theirs
};

} // namespace berth::store
