// SPDX-License-Identifier: Apache-2.0
// All networks of the engine by id, id prefix and name: the predefined ones, whose ids and subnet
// are chosen once and kept, and the users'. Thread-safe.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "engine/container_record.h"
#include "engine/daemon_config.h"
#include "engine/network_record.h"
#include "network/network_driver.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace berth::engine {

struct KnownNetwork {
    NetworkInspect info; // without containers
    // nullptr: host, none and config-only networks, and one that could not be made again.
    std::shared_ptr<network::Network> network{};
    bool is_predefined = false;
};

using KnownNetworkPtr = std::shared_ptr<const KnownNetwork>;

// bridge, host, none and default.
bool is_predefined_network(const std::string& name);

class NetworkRegistry {
  public:
    // `containers` are those of the last run: the endpoints of those that ran are kept, all others
    // swept.
    static Result<std::unique_ptr<NetworkRegistry>> start(
        const DaemonConfig& config,
        store::Database& database,
        const std::vector<ContainerRecord>& containers);

    // By id, name or unique prefix of an id; NotFound "network x not found".
    Result<KnownNetworkPtr> find(const std::string& text) const;
    std::vector<KnownNetworkPtr> all() const; // by name

    Result<KnownNetworkPtr> create(const NetworkCreate& request);
    // Forbidden for predefined networks, and while there are endpoints.
    Result<void> remove(const KnownNetworkPtr& network);

    // nullptr: bridge none.
    std::shared_ptr<network::Network> default_bridge() const { return bridge_; }

    network::NetworkDriver& driver() { return *driver_; }

  private:
    struct Tables {
        std::map<std::string, KnownNetworkPtr> by_id;
        std::map<std::string, KnownNetworkPtr> by_name;
    };

    NetworkRegistry(const DaemonConfig& config, NetworkTable table)
        : config_(config)
        , table_(table) {}

    Result<void> start_driver(const std::vector<ContainerRecord>& containers);
    Result<void> add_predefined();
    Result<network::BridgeOptions> default_bridge_options() const;
    Result<void> add_ipv6(network::BridgeOptions& options) const;
    Result<void> add_default_bridge(network::BridgeOptions options);
    void add(KnownNetwork network);
    Result<NetworkInspect> define(const NetworkCreate& request) const;
    Result<void> apply_config_from(NetworkInspect& network) const;
    Result<void> choose_subnets(NetworkInspect& network);
    Result<std::shared_ptr<network::Network>> make(NetworkInspect& info);

    DaemonConfig config_;
    NetworkTable table_;
    std::vector<NetworkInspect> predefined_;
    std::unique_ptr<network::NetworkDriver> driver_;
    std::shared_ptr<network::Network> bridge_;
    std::mutex changing_; // one network is made or removed at a time
    Synchronized<Tables> tables_;
};

} // namespace berth::engine
