// SPDX-License-Identifier: Apache-2.0
// Joins containers to their networks when they start, while they run, and takes them off again.
// Thread-safe; calls for one container are made one at a time by who holds its operation.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/container_record.h"
#include "engine/daemon_config.h"
#include "engine/endpoint_settings.h"
#include "engine/endpoint_watch.h"
#include "engine/network_registry.h"
#include "network/network_driver.h"
#include "store/database.h"

#include <memory>
#include <string>
#include <vector>

namespace berth::engine {

// What a starting container gets.
struct NetworkConnection {
    UniqueFd netns; // empty: the host's, or that of another container
    std::vector<EndpointState> endpoints;
};

std::vector<PublishedPort> published_ports(const std::vector<network::BoundPort>& bound);

class ContainerNetwork {
  public:
    // `running` are the containers of the last run: their endpoints are kept, all others swept.
    static Result<std::unique_ptr<ContainerNetwork>> start(
        const DaemonConfig& config,
        store::Database& database,
        const std::vector<ContainerRecord>& running);

    // Whom to tell of endpoints; nullptr: nobody. REQUIRES: no container starts yet.
    void set_watch(EndpointWatch* watch) { watch_ = watch; }

    // Of a container that is created: network ids become names, the main network is there.
    // InvalidArgument in Docker's words.
    Result<void> normalize(const std::string& mode, NetworkingConfig& networking) const;

    // All networks of a container that starts. Conflict for taken ports, in Docker's words.
    // `netns`: what it is to have; none: one that comes with its networks.
    Result<NetworkConnection> connect(const ContainerDefinition& definition, UniqueFd netns = {});
    // Of one that has ended.
    void disconnect(const std::string& container_id, const std::vector<EndpointState>& endpoints);

    // One more network for a running container; `endpoints` are those that it has, and get one
    // more. The way out and the published ports move when the new network is to have them.
    Result<void> attach(
        const ContainerDefinition& definition,
        const KnownNetwork& network,
        const UniqueFd& netns,
        std::vector<EndpointState>& endpoints);
    // One less. Goes through although a part fails: the container is out of the network.
    void detach(
        const ContainerDefinition& definition,
        const std::string& network_name,
        const UniqueFd& netns,
        std::vector<EndpointState>& endpoints);

    // Further ports of a running container, those of the definition; `endpoints` are those that it
    // has, and get the ports. Returns them with nothing but what is new. All or nothing.
    Result<std::vector<EndpointState>>
    publish(const ContainerDefinition& definition, std::vector<EndpointState>& endpoints);
    // Closes the endpoints' ports. A failure is logged.
    void withdraw(const std::vector<EndpointState>& endpoints);

    // InvalidArgument in Docker's words when a container with these networks cannot have the new
    // one too.
    Result<void> check_combination(
        const std::string& mode,
        const NetworkingConfig& networking,
        const KnownNetwork& network) const;

    // Tells the watcher of all endpoints again: of an engine that has started, or when the names
    // have changed.
    void announce(
        const ContainerDefinition& definition,
        const std::vector<EndpointState>& endpoints,
        FdRef netns);

    NetworkRegistry& registry() { return *registry_; }

    const NetworkRegistry& registry() const { return *registry_; }

    // NotFound "network x not found".
    Result<KnownNetworkPtr> find(const std::string& text) const { return registry_->find(text); }

    Result<std::shared_ptr<network::Network>> find_bridge(const std::string& name) const;
    Result<UniqueFd> isolated_namespace();

    // nullptr: bridge none.
    std::shared_ptr<network::Network> bridge() const { return registry_->default_bridge(); }

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
    struct Wanted;
    struct Join;

    explicit ContainerNetwork(const DaemonConfig& config)
        : config_(config) {}

    Result<std::vector<Wanted>> wanted_networks(const ContainerDefinition& definition) const;
    Result<EndpointState> join(const ContainerDefinition& definition, const Join& join);
    Result<EndpointState> join_running(
        const ContainerDefinition& definition,
        const KnownNetwork& network,
        const UniqueFd& netns,
        const std::vector<EndpointState>& others);
    Result<std::vector<network::PortRequest>> ports_of(
        const ContainerDefinition& definition, const KnownNetwork& network, bool v4, bool v6) const;
    GatewayChoice gateways_of(
        const ContainerDefinition& definition, const std::vector<EndpointState>& endpoints) const;
    void
    leave(const std::string& container_id, const EndpointState& endpoint, network::Detach detach);
    struct WaysOut;
    WaysOut ways_out_of(
        const ContainerDefinition& definition, const std::vector<EndpointState>& endpoints) const;
    void move_gateways(
        const ContainerDefinition& definition,
        const WaysOut& before,
        const UniqueFd& netns,
        std::vector<EndpointState>& endpoints);
    void move_ports(
        const ContainerDefinition& definition,
        const WaysOut& before,
        const GatewayChoice& after,
        std::vector<EndpointState>& endpoints);
    std::vector<network::BoundPort> withdraw_ports(EndpointState& endpoint, bool v4, bool v6);
    void publish_again(
        EndpointState& endpoint, const Result<std::vector<network::PortRequest>>& requests);

    DaemonConfig config_;
    std::unique_ptr<NetworkRegistry> registry_;
    EndpointWatch* watch_ = nullptr;
};

} // namespace berth::engine
