// SPDX-License-Identifier: Apache-2.0
// The builder's tables in the store's database: steps that were done and directories that steps
// share, which are the build cache; and writable layers in use, so that a restarted engine finds
// what a killed one left.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "oci/digest.h"
#include "store/database.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::build {

// What a step gave. The configuration's bytes hash to the image's id; nobody else needs to know
// that image.
struct CachedStep {
    std::string key; // of the instruction and all its inputs
    oci::Digest image;
    oci::Digest parent;     // the image that it started from; empty: scratch
    oci::Digest chain_id;   // empty: no layer yet
    bool has_layer = false; // the topmost layer is this step's own
    std::string config_json;
    std::string description;
    Timestamp created;
    Timestamp used;
    std::int64_t uses = 1;
};

// A directory of RUN --mount=type=cache.
struct MountRow {
    std::string name;
    std::string description;
    Timestamp created;
    Timestamp used;
    std::int64_t uses = 1;
};

// Thread-safe.
class BuildDatabase {
  public:
    // database must outlive this object.
    static Result<BuildDatabase> open(store::Database& database);

    Result<std::optional<CachedStep>> find_step(const std::string& key) const;
    // Takes the place of one with this key.
    Result<void> put_step(const CachedStep& step) const;
    // Counts a use, now.
    Result<void> use_step(const std::string& key) const;
    // Those that were not used for longest first, without their configurations.
    Result<std::vector<CachedStep>> list_steps() const;
    Result<void> remove_steps(const std::vector<std::string>& keys) const;

    // A row where there is none; counts a use, now.
    Result<void> use_mount(const std::string& name, const std::string& description) const;
    Result<std::vector<MountRow>> list_mounts() const;
    Result<void> remove_mount(const std::string& name) const;

    Result<void> add_work(const std::string& id) const;
    Result<void> remove_work(const std::string& id) const;
    Result<std::vector<std::string>> list_work() const;

  private:
    explicit BuildDatabase(store::Database& database)
        : database_(database) {}

    store::Database& database_;
};

} // namespace berth::build
