// SPDX-License-Identifier: Apache-2.0
// Named and anonymous volumes of the local driver: a directory <root>/volumes/<name>/_data and a
// row in the database. Thread-safe, blocking.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/time.h"
#include "engine/container_config.h"
#include "engine/filters.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace berth::store {
class Database;
}

namespace berth::engine {

class Events;

struct VolumeInfo {
    std::string name;
    std::string driver = "local";
    std::string mountpoint;
    Timestamp created;
    StringMap labels;
    std::string scope = "local";
    StringMap options;
    bool anonymous = false;
    std::int64_t reference_count = 0;
    std::optional<std::int64_t> size; // only where asked for
};

struct VolumeCreate {
    std::string name; // empty: a random 64-digit name, anonymous
    std::string driver;
    StringMap options;
    StringMap labels;
};

struct VolumePruneReport {
    std::vector<std::string> deleted;
    std::int64_t space_reclaimed = 0;
};

enum class WithSize : bool { No, Yes };

class Volumes {
  public:
    static Result<std::unique_ptr<Volumes>>
    open(const std::string& data_root, store::Database& database, Events& events);
    ~Volumes();

    // An existing volume of that name is returned as it is (Conflict when its driver or options
    // differ).
    Result<VolumeInfo> create(const VolumeCreate& request);

    // Filters: dangling, driver, label, name.
    Result<std::vector<VolumeInfo>>
    list(const Filters& filters, WithSize size = WithSize::No) const;

    // NotFound "get x: no such volume".
    Result<VolumeInfo> inspect(const std::string& name) const;

    // Conflict "remove x: volume is in use - [container ids]".
    Result<void> remove(const std::string& name, bool force);

    // Anonymous ones unless filter all=true. Filters: all, label, label!.
    Result<VolumePruneReport> prune(const Filters& filters);

    // For containers: who holds which volume. A held volume is not removed.
    void hold(const std::string& name, const std::string& container_id);
    void release(const std::string& name, const std::string& container_id);

    // A valid name per Docker: [a-zA-Z0-9][a-zA-Z0-9_.-]*, two characters at least.
    static bool is_valid_name(std::string_view name);

  private:
    struct Entry {
        VolumeInfo info;
        std::set<std::string> holders;
    };

    using Table = std::map<std::string, Entry>;

    Volumes(std::string directory, store::Database& database, Events& events);
    Result<void> load();

    std::string directory_;
    store::Database& database_;
    Events& events_;
    mutable Synchronized<Table> table_;
};

} // namespace berth::engine
