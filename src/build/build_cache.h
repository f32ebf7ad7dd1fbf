// SPDX-License-Identifier: Apache-2.0
// The build cache: what steps gave, and the directories that steps share. What it is on the disk,
// who has parts of it too, and what of it goes by which rule.
#pragma once

#include "base/result.h"
#include "build/build_database.h"
#include "build/cache_mounts.h"
#include "build/cache_rule.h"
#include "store/store.h"

#include <cstdint>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::build {

struct CachePruneReport {
    std::vector<std::string> deleted; // ids
    std::uint64_t space_reclaimed = 0;
    std::set<oci::Digest> released; // layers that the cache may have held alone, by chain id
    bool more = false;              // the round's bound was reached
};

// Thread-safe.
class BuildCache {
  public:
    static constexpr std::size_t no_bound = ~std::size_t{0};

    // All references outlive the object.
    BuildCache(store::Store& store, BuildDatabase database, std::string data_root)
        : store_(store)
        , database_(database)
        , root_(data_root)
        , mounts_(store.layers(), database, std::move(data_root)) {}

    CacheMounts& mounts() { return mounts_; }

    const BuildDatabase& database() const { return database_; }

    // By the time of their last use.
    Result<std::vector<CacheRecord>> records();

    // Removes at most `bound` records. What they had goes with the next garbage collection.
    Result<CachePruneReport> prune(const CacheRule& rule, std::size_t bound = no_bound);

    // What the garbage collector leaves: the steps' layers.
    static Result<std::vector<store::ContentKey>> roots(const BuildDatabase& database);

  private:
    struct Entry;
    class Survey;
    class Pruning;

    Result<std::vector<Entry>> entries();
    void add_chain(const oci::Digest& chain_id, std::set<oci::Digest>& chain);
    Result<void> forget_lost(const Survey& survey, std::vector<CachedStep>& steps);

    store::Store& store_;
    BuildDatabase database_;
    std::string root_;
    CacheMounts mounts_;
};

} // namespace berth::build
