// SPDX-License-Identifier: Apache-2.0
// Mark and sweep over blobs and layers, while everything else goes on. Roots are images, writable
// layers, leases, and what others register (a build cache).
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "store/image_store.h"
#include "store/lease.h"

#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <vector>

namespace berth::store {

struct CollectionReport {
    std::uint64_t blobs_removed = 0;
    std::uint64_t layers_removed = 0;
    std::uint64_t bytes_reclaimed = 0;
};

// Thread-safe; two collections at a time wait for each other.
class GarbageCollector {
  public:
    GarbageCollector(ImageStore& images, Leases& leases)
        : images_(images)
        , leases_(leases) {}

    using Roots = std::function<Result<std::vector<ContentKey>>()>;

    // Asked at every collection, from its thread. A root that cannot answer stops the collection:
    // nothing is removed on half the knowledge.
    void add_roots(Roots roots);

    Result<CollectionReport> collect(std::stop_token stop = {});

  private:
    using Marks = std::set<ContentKey>;

    Result<Marks> mark();
    Result<void> mark_layer_blobs(Marks& marks);
    Result<void> sweep_layers(
        const std::stop_token& stop, std::vector<LayerInfo> layers, CollectionReport& report);
    Result<void> sweep_blobs(
        const std::stop_token& stop, const std::vector<BlobInfo>& blobs, CollectionReport& report);

    ImageStore& images_;
    Leases& leases_;
    Synchronized<std::vector<Roots>> roots_;
    std::mutex running_;
};

} // namespace berth::store
