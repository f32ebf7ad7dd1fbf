// SPDX-License-Identifier: Apache-2.0
// Garbage collection by itself, every now and then, and when somebody asks for it.
#pragma once

#include "registry/server/metrics.h"
#include "registry/server/options.h"
#include "registry/server/storage.h"

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace berth::registry {

// Thread-safe. The storage and the metrics must outlive it; its end waits for a collection of its
// own to stop.
class Collector {
  public:
    Collector(Storage& storage, Metrics& metrics, const CollectionOptions& options);

    Result<CollectReport> collect(const CollectOptions& options);

  private:
    void run(const std::stop_token& stop);

    Storage& storage_;
    Metrics& metrics_;
    const CollectionOptions options_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::jthread thread_; // last: it uses the others
};

// What a collection is asked to do where the configuration says so.
CollectOptions to_collect_options(const CollectionOptions& options);

} // namespace berth::registry
