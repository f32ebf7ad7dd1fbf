// SPDX-License-Identifier: Apache-2.0
// What takes a while to make and is all alike: a few are made ahead of demand, behind those who
// take them.
#pragma once

#include "base/log.h"
#include "base/result.h"

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace berth {

// Calls the job, which takes a millisecond or so, after a delay; not once the stock is gone, and
// never within the call. Jobs of one stock do not overlap.
using Later = std::function<void(std::chrono::milliseconds delay, std::function<void()> job)>;

// Thread-safe. It does not move: jobs refer to it.
template <class Item>
class Stock {
  public:
    struct Options {
        std::string what; // for the log: "spare directory"
        std::size_t count = 0;
        std::function<Result<Item>()> make; // in a job; nobody waits meanwhile
        Later later;
        std::chrono::milliseconds delay{}; // from the first that is taken to the next that is made
        std::chrono::milliseconds between{}; // two that are made
        std::chrono::milliseconds pause_after_failure{};
    };

    explicit Stock(Options options)
        : options_(std::move(options)) {}

    Stock(const Stock&) = delete;
    Stock& operator=(const Stock&) = delete;
    ~Stock() = default;

    // Nothing when none is ready. Others will be made soon.
    std::optional<Item> take() {
        const std::lock_guard lock(mutex_);
        fill_after(options_.delay);
        if (ready_.empty()) {
            return std::nullopt;
        }
        Item next = std::move(ready_.front());
        ready_.pop_front();
        return next;
    }

    // Without waiting for one who takes.
    void fill(std::chrono::milliseconds delay) {
        const std::lock_guard lock(mutex_);
        fill_after(delay);
    }

  private:
    // REQUIRES: the lock.
    void fill_after(std::chrono::milliseconds delay) {
        if (options_.count > 0 && !std::exchange(is_due_, true)) {
            options_.later(delay, [this] { make_one(); });
        }
    }

    void make_one() {
        Result<Item> made = options_.make();
        const std::lock_guard lock(mutex_);
        is_due_ = false;
        if (!made.ok()) {
            log::debug("no " + options_.what + ", retrying", {{"error", made.error().message()}});
            fill_after(options_.pause_after_failure);
            return;
        }
        ready_.push_back(std::move(*made));
        if (ready_.size() < options_.count) {
            fill_after(options_.between);
        }
    }

    const Options options_;
    std::mutex mutex_;
    std::deque<Item> ready_;
    bool is_due_ = false; // a job is on its way
};

} // namespace berth
