// SPDX-License-Identifier: Apache-2.0
// Networks as the database keeps them. docs/formats/engine-tables.md.
#pragma once

#include "base/result.h"
#include "engine/networks.h"
#include "store/database.h"

#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

// Thread-safe as the database is.
class NetworkTable {
  public:
    static Result<NetworkTable> open(store::Database& database);

    // The users' networks.
    Result<std::vector<NetworkInspect>> load() const;
    // Durable: a network that was told of must not vanish at a power cut.
    Result<void> insert(const NetworkInspect& network);
    Result<void> remove(const std::string& name);

    // Of bridge, host and none: id and time of creation, chosen once.
    Result<void> load_predefined(NetworkInspect& network);
    // The default bridge's subnet, chosen once; empty: not yet.
    Result<std::string> bridge_subnet() const;
    Result<void> set_bridge_subnet(const std::string& subnet);

  private:
    explicit NetworkTable(store::Database& database)
        : database_(&database) {}

    store::Database* database_;
};

} // namespace berth::engine
