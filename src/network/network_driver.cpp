// SPDX-License-Identifier: Apache-2.0
// One engine's networks: start, restore, create, remove.
#include "base/log.h"
#include "network/bridge.h"
#include "network/bridge_network_state.h"
#include "network/name_claim.h"

#include <algorithm>
#include <mutex>
#include <set>

namespace berth::network {

using Networks = std::map<std::string, std::shared_ptr<BridgeNetwork>>;

struct NetworkDriver::State {
    std::shared_ptr<DriverParts> parts;
    NamespacePool::ShelfId isolated_shelf = 0;
    Synchronized<Networks> networks{};
    // One network is made or removed at a time; look-ups do not wait for it.
    std::mutex changing{};

    std::vector<IpPrefix> subnets() const {
        std::vector<IpPrefix> subnets;
        auto guard = networks.lock();
        for (const auto& [name, network] : *guard) {
            subnets.push_back(network->options().subnet);
        }
        return subnets;
    }
};

namespace {

Result<std::shared_ptr<DriverParts>> start_parts(const NetworkDriver::Options& options) {
    UniqueFd claim = TRY(claim_name("table", options.table));
    Firewall firewall = TRY(Firewall::open(options.table));
    std::unique_ptr<NamespacePool> pool = TRY(NamespacePool::start(options.sysctls));
    std::unique_ptr<InterfaceReaper> reaper = TRY(InterfaceReaper::start());
    kernel::RouteSocket host = TRY(kernel::RouteSocket::open());
    return std::shared_ptr<DriverParts>(new DriverParts{
        .firewall = std::move(firewall),
        .pool = std::move(pool),
        .reaper = std::move(reaper),
        .host = Synchronized<kernel::RouteSocket>(std::move(host)),
        .table_claim = std::move(claim),
    });
}

} // namespace

NetworkDriver::NetworkDriver(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

NetworkDriver::~NetworkDriver() = default;

Result<std::unique_ptr<NetworkDriver>> NetworkDriver::start(Options options) {
    auto state = std::make_unique<State>();
    state->parts = TRY(start_parts(options));
    Networks networks;
    const std::vector<NetworkRecord> records = std::move(options.networks);
    for (const NetworkRecord& record : records) {
        auto network = TRY_CONTEXT(
            BridgeNetwork::State::create(state->parts, record.options, record.endpoints),
            "network " + record.options.name);
        for (const EndpointRecord& endpoint : record.endpoints) {
            network->restore(endpoint);
        }
        networks[record.options.name] =
            std::shared_ptr<BridgeNetwork>(new BridgeNetwork(std::move(network)));
    }
    TRY(state->parts->firewall.rebuild());
    *state->networks.lock() = std::move(networks);
    state->isolated_shelf = state->parts->pool->add_shelf({}, options.isolated_pool_size);
    return std::unique_ptr<NetworkDriver>(new NetworkDriver(std::move(state)));
}

Result<std::shared_ptr<BridgeNetwork>> NetworkDriver::create(const BridgeOptions& options) {
    const std::lock_guard changing(state_->changing);
    if (find(options.name)) {
        return conflict("network with name " + options.name + " already exists");
    }
    for (const IpPrefix& other : state_->subnets()) {
        if (other.overlaps(options.subnet)) {
            return Error(
                ErrorKind::Forbidden,
                "invalid pool request: Pool overlaps with other one on this address space");
        }
    }
    std::unique_ptr<BridgeNetwork::State> made =
        TRY(BridgeNetwork::State::create(state_->parts, options));
    std::shared_ptr<BridgeNetwork> network(new BridgeNetwork(std::move(made)));
    state_->networks.lock()->emplace(options.name, network);
    return network;
}

std::shared_ptr<BridgeNetwork> NetworkDriver::find(const std::string& name) const {
    auto networks = state_->networks.lock();
    const auto found = networks->find(name);
    return found == networks->end() ? nullptr : found->second;
}

Result<void> NetworkDriver::remove(const std::string& name) {
    const std::lock_guard changing(state_->changing);
    const std::shared_ptr<BridgeNetwork> network = find(name);
    if (!network) {
        return not_found("network " + name + " not found");
    }
    if (network->endpoint_count() != 0) {
        return Error(
            ErrorKind::Forbidden,
            "error while removing network: network " + name + " has active endpoints");
    }
    TRY(network->state_->tear_down());
    state_->networks.lock()->erase(name);
    return ok();
}

Result<UniqueFd> NetworkDriver::create_isolated_namespace() {
    return std::move(TRY(state_->parts->pool->take(state_->isolated_shelf)).netns);
}

Result<IpPrefix> NetworkDriver::pick_subnet() const {
    const std::vector<IpPrefix> taken = state_->subnets();
    return pick_free_subnet(taken, *state_->parts->host.lock());
}

Result<std::vector<std::string>> NetworkDriver::foreign_obstacles() const {
    return state_->parts->firewall.foreign_obstacles();
}

Result<void> NetworkDriver::remove_all() {
    const std::lock_guard changing(state_->changing);
    const Networks networks = std::exchange(*state_->networks.lock(), {});
    for (const auto& [name, network] : networks) {
        const Result<void> removed = network->state_->tear_down();
        if (!removed.ok()) {
            log::debug(
                "cannot remove a network, ignoring",
                {{"network", name}, {"error", removed.error().message()}});
        }
    }
    state_->parts->reaper->finish();
    return state_->parts->firewall.remove();
}

void NetworkDriver::wait_until_removed() {
    state_->parts->reaper->finish();
}

} // namespace berth::network
