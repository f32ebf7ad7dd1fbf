// SPDX-License-Identifier: Apache-2.0
// Bytes that are kept, against a limit. What an upload has received counts at once, so that many
// uploads together cannot pass the limit either.
#pragma once

#include "base/result.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::registry {

// Thread-safe.
class Usage {
  public:
    // limit 0: none. `what` names it in the error.
    explicit Usage(std::uint64_t limit = 0, std::string what = {})
        : limit_(limit)
        , what_(std::move(what)) {}

    // Forbidden when it does not fit any more.
    Result<void> reserve(std::uint64_t bytes) {
        std::uint64_t before = used_.fetch_add(bytes);
        if (limit_ != 0 && before + bytes > limit_) {
            used_.fetch_sub(bytes);
            return Error(
                ErrorKind::Forbidden,
                what_ + " would exceed its quota of " + std::to_string(limit_) + " bytes");
        }
        return ok();
    }

    void add(std::uint64_t bytes) { used_.fetch_add(bytes); }

    void release(std::uint64_t bytes) { used_.fetch_sub(bytes); }

    std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

    std::uint64_t limit() const { return limit_; }

    const std::string& what() const { return what_; }

  private:
    std::uint64_t limit_;
    std::string what_;
    std::atomic<std::uint64_t> used_ = 0;
};

} // namespace berth::registry
