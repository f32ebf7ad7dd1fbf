// SPDX-License-Identifier: Apache-2.0
// A stock of directories under numbers, filled behind those who take from it.
#include "engine/spare_directories.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/block_groups.h"

#include <cstdio>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// After the container that has just been given its own, as spare monitors.
constexpr std::chrono::milliseconds refill_delay{8};
constexpr std::chrono::milliseconds pause_after_failure{10'000};

} // namespace

struct SpareDirectories::State {
    Options options;
    std::mutex mutex;
    std::deque<std::string> ready;
    std::size_t made = 0;     // numbers of names
    bool is_due = false;      // a refill is on its way
    bool is_prepared = false; // the refills' alone: the place is there and empty

    std::optional<std::string> take() {
        const std::lock_guard lock(mutex);
        refill_after(refill_delay);
        if (ready.empty()) {
            return std::nullopt;
        }
        std::string next = std::move(ready.front());
        ready.pop_front();
        return next;
    }

    // REQUIRES: the lock.
    void refill_after(std::chrono::milliseconds delay) {
        if (!std::exchange(is_due, true)) {
            options.later(delay, [this] { refill(); });
        }
    }

    // Of an engine of before, which may have been killed at any moment: a name may have been given
    // away and be on the disk still.
    Result<void> prepare() {
        TRY(remove_tree(options.place));
        TRY(make_directories(options.place, 0700));
        kernel::spread_children(options.place);
        return ok();
    }

    Result<std::string> make_one() {
        if (!is_prepared) {
            TRY(prepare());
            is_prepared = true;
        }
        std::string path = options.place + "/" + std::to_string(made++);
        TRY(make_directories(path, 0700));
        return path;
    }

    void refill() {
        while (true) {
            {
                const std::lock_guard lock(mutex);
                if (ready.size() >= options.count) {
                    is_due = false;
                    return;
                }
            }
            Result<std::string> path = make_one();
            const std::lock_guard lock(mutex);
            if (!path.ok()) {
                log::debug("no spare directory, retrying", {{"error", path.error().message()}});
                is_due = false;
                refill_after(pause_after_failure);
                return;
            }
            ready.push_back(std::move(*path));
        }
    }
};

SpareDirectories::SpareDirectories(Options options)
    : state_(std::make_unique<State>()) {
    state_->options = std::move(options);
}

SpareDirectories::~SpareDirectories() = default;

Result<void> SpareDirectories::make(const std::string& path, mode_t mode) {
    if (const std::optional<std::string> spare = state_->take()) {
        // Another mount may be at one of the two.
        if (::chmod(spare->c_str(), mode) == 0 && ::rename(spare->c_str(), path.c_str()) == 0) {
            return ok();
        }
        (void)::rmdir(spare->c_str());
    }
    return make_directories(path, mode);
}

} // namespace berth::engine
