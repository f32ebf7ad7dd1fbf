// SPDX-License-Identifier: Apache-2.0
// Joins containers to the default bridge, or to nothing, and keeps what an inspect shows about the
// three default networks. Thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/container_record.h"
#include "engine/daemon_config.h"
#include "engine/networks.h"
#include "network/network.h"
#include "store/database.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

// What a starting container gets.
struct NetworkConnection {
    UniqueFd netns; // empty: the host's, or that of another container
    std::vector<EndpointState> endpoints;
};

class ContainerNetwork {
  public:
    // `running` are the containers of the last run: their endpoints are kept, all others swept.
    static Result<std::unique_ptr<ContainerNetwork>> start(
        const DaemonConfig& config,
        store::Database& database,
        const std::vector<ContainerRecord>& running);

    // For modes bridge and none. Conflict for taken ports, in Docker's words.
    Result<NetworkConnection> connect(const ContainerDefinition& definition);
    void disconnect(const std::vector<EndpointState>& endpoints);

    // bridge, host and none, without containers; NotFound "network x not found".
    const std::vector<NetworkInspect>& networks() const { return networks_; }

    Result<const NetworkInspect*> find(const std::string& text) const;

    Result<std::shared_ptr<network::BridgeNetwork>> find_bridge(const std::string& name) const;
    Result<UniqueFd> isolated_namespace();

    network::BridgeNetwork* bridge() { return bridge_.get(); }

    // Waits until what containers left is removed.
    void settle();

    // Takes bridges and rules away: an engine that has ended leaves nothing on the machine.
    void remove_all();

    // "80/tcp" with ports taken apart; InvalidArgument "invalid port specification: …".
    static Result<std::vector<network::PortRequest>> port_requests(
        const ContainerConfig& config,
        const HostConfig& host_config,
        const std::string& default_ip);

  private:
    explicit ContainerNetwork(const DaemonConfig& config)
        : config_(config) {}

    Result<void> load_networks(store::Database& database);
    Result<network::BridgeOptions> bridge_options(store::Database& database);

    DaemonConfig config_;
    std::vector<NetworkInspect> networks_;
    std::unique_ptr<network::NetworkDriver> driver_;
    std::shared_ptr<network::BridgeNetwork> bridge_; // nullptr: bridge none
};

} // namespace berth::engine
