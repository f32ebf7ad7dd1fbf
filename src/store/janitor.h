// SPDX-License-Identifier: Apache-2.0
// Work that nobody waits for: deleting what was thrown away, and syncing what was published. One
// thread, started when there is something to do.
#pragma once

#include "base/result.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace berth::store {

// Thread-safe.
class Janitor {
  public:
    // Deletes what an earlier process threw away, in the background. `sync` is called on the
    // janitor's thread, a while after the last request_sync().
    Janitor(std::string root, std::function<void()> sync);
    // What is not deleted yet stays for the next start.
    ~Janitor();

    // Makes path vanish at once (a rename to <root>/tmp/trash-*) and deletes it later. Absent is
    // fine.
    Result<void> discard(const std::string& path);
    void request_sync();

    // Returns once everything is deleted.
    void wait_idle();

  private:
    using Clock = std::chrono::steady_clock;

    void wake(std::unique_lock<std::mutex>& lock);
    void run();
    void empty_trash();

    std::string root_;
    std::function<void()> sync_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopped_ = false;
    bool trash_ = true; // there may be some from before
    bool working_ = false;
    std::optional<Clock::time_point> sync_at_;
    std::thread thread_;
};

} // namespace berth::store
