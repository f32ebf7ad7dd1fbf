// SPDX-License-Identifier: Apache-2.0
// Brings index.json of repositories up to date behind their changes. Internal to the storage.
#pragma once

#include "registry/server/repository.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>

namespace berth::registry {

// Thread-safe. Its thread begins with the first repository that is noted.
class IndexKeeper {
  public:
    // settle: called by the keeper's thread for a repository that was noted, about once a second;
    // true when nothing is left to do for it.
    explicit IndexKeeper(std::function<bool(Repository&)> settle)
        : settle_(std::move(settle)) {}

    // REQUIRES: the repository outlives the keeper.
    void note(Repository& repository);

  private:
    void run(const std::stop_token& stop);

    std::function<bool(Repository&)> settle_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::set<Repository*> noted_;
    std::jthread thread_; // last: it uses the others
};

} // namespace berth::registry
