// SPDX-License-Identifier: Apache-2.0
// Volumes as the database keeps them (docs/formats/engine-tables.md). Thread-safe as the database
// is.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "engine/container_config.h"
#include "store/database.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

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
    std::string status;               // a plugin's own words: a JSON object, or empty
};

struct VolumeRow {
    VolumeInfo info;
    // Made for a container that is not in the database yet: goes with the next start otherwise.
    bool pending = false;
    // Being filled: what is in it is half of something.
    bool filling = false;
};

class VolumeTable {
  public:
    static Result<VolumeTable> open(store::Database& database);

    Result<std::vector<VolumeRow>> load() const;
    Result<void> insert(const VolumeRow& row);
    Result<void> remove(const std::string& name);
    Result<void> settle(const std::vector<std::string>& names);
    Result<void> set_filling(const std::string& name, bool filling);

    // Mounts of plugins' volumes, which their plugin counts: one that a killed engine has not given
    // back is given back by the next.
    struct PluginMount {
        std::string volume;
        std::string user;
    };

    Result<std::vector<PluginMount>> plugin_mounts() const;
    Result<void> add_plugin_mount(const PluginMount& mount);
    Result<void> remove_plugin_mount(const PluginMount& mount);

  private:
    explicit VolumeTable(store::Database& database)
        : database_(&database) {}

    store::Database* database_;
};

} // namespace berth::engine
