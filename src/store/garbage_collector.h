// SPDX-License-Identifier: Apache-2.0
// Mark and sweep over blobs and layers, while everything else goes on. Roots are images, writable
// layers, leases, and what others register (a build cache).
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "store/image_store.h"
#include "store/lease.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <vector>

namespace berth::store {

struct CollectionOptions {
    // What is younger stays: somebody may come back for it (a pull that broke off).
    std::chrono::nanoseconds minimum_age{0};
    bool partials = false; // downloads that broke off within a blob, too
    // Layers that somebody has just let go of, with their blobs: they go whatever their age.
    std::set<oci::Digest> released = {};
    bool only_released = false;
    // Removals in one round.
    std::uint64_t bound = ~std::uint64_t{0};
};

struct CollectionReport {
    std::uint64_t blobs_removed = 0;
    std::uint64_t layers_removed = 0;
    std::uint64_t partials_removed = 0;
    std::uint64_t bytes_reclaimed = 0;
    bool more = false; // the bound was reached
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

    Result<CollectionReport> collect(std::stop_token stop = {}, CollectionOptions options = {});

  private:
    using Marks = std::set<ContentKey>;

    // One round's progress.
    struct Round {
        std::stop_token stop;
        std::uint64_t bound;
        CollectionReport report;

        // False when the bound is reached; Cancelled.
        Result<bool> may_go_on();
    };

    Result<Marks> mark();
    Result<void> mark_layer_blobs(Marks& marks);
    Result<void> sweep_layers(Round& round, std::vector<LayerInfo> layers);
    Result<void> sweep_blobs(Round& round, const std::vector<BlobInfo>& blobs);

    ImageStore& images_;
    Leases& leases_;
    Synchronized<std::vector<Roots>> roots_;
    std::mutex running_;
};

} // namespace berth::store
