// SPDX-License-Identifier: Apache-2.0
// Project quotas of ext4 and XFS: a directory whose files, present and to come, may take so much
// of the disk. ioctl_xfs_fsgetxattr(2), quotactl(2).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <utility>

namespace berth::kernel {

// The project that a directory belongs to, 0 for none. Errors of this file that
// lacks_project_quota() is true for say that the file system or the kernel has none.
Result<std::uint32_t> project_of(FdRef directory);

// Puts an empty directory, and with it all that is made in it, under the project's limit of
// `bytes` (0: none).
Result<void> limit_directory(FdRef directory, std::uint32_t project, std::uint64_t bytes);

// As long as it lives a project may take `bytes` more than its limit, which stays noted as the soft
// one: who dies meanwhile leaves no other limit than the next RaisedLimit's end sets. Nothing
// happens where there is no limit.
class RaisedLimit {
  public:
    static Result<RaisedLimit>
    raise(UniqueFd directory, std::uint32_t project, std::uint64_t bytes);
    RaisedLimit(RaisedLimit&&) = default;
    RaisedLimit& operator=(RaisedLimit&&) = delete;
    ~RaisedLimit();

  private:
    RaisedLimit(UniqueFd directory, std::uint32_t project)
        : directory_(std::move(directory))
        , project_(project) {}

    UniqueFd directory_; // empty: nothing to do
    std::uint32_t project_;
};

bool lacks_project_quota(const Error& error);

// As long as it lives the limits hold for the calling thread, too: ext4 lets root exceed them
// (CAP_SYS_RESOURCE).
class HeldToLimits {
  public:
    HeldToLimits();
    ~HeldToLimits();
    HeldToLimits(const HeldToLimits&) = delete;
    HeldToLimits& operator=(const HeldToLimits&) = delete;

  private:
    bool had_it_ = false;
};

} // namespace berth::kernel
