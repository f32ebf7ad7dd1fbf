// SPDX-License-Identifier: Apache-2.0
// One thread that mostly sleeps.
#include "registry/server/index_keeper.h"

#include <chrono>
#include <vector>

namespace berth::registry {

void IndexKeeper::note(Repository& repository) {
    std::lock_guard lock(mutex_);
    noted_.insert(&repository);
    if (!thread_.joinable()) {
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
        pthread_setname_np(thread_.native_handle(), "index-keeper");
    }
    wake_.notify_one();
}

void IndexKeeper::run(const std::stop_token& stop) {
    while (true) {
        std::vector<Repository*> due;
        {
            std::unique_lock lock(mutex_);
            if (!wake_.wait(lock, stop, [this] { return !noted_.empty(); })) {
                return;
            }
            // Changes come in bursts.
            wake_.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
            if (stop.stop_requested()) {
                return;
            }
            due.assign(noted_.begin(), noted_.end());
            noted_.clear();
        }
        for (Repository* repository : due) {
            if (!settle_(*repository)) {
                std::lock_guard lock(mutex_);
                noted_.insert(repository);
            }
        }
    }
}

} // namespace berth::registry
