// SPDX-License-Identifier: Apache-2.0
// Joining containers to a bridge and taking them off it.
#include "network/drivers/bridge_network.h"

#include "base/log.h"
#include "base/rollback.h"
#include "network/drivers/bridge_network_state.h"

#include <algorithm>
#include <cerrno>

namespace berth::network {

using kernel::RouteBatch;

BridgeNetwork::BridgeNetwork(std::unique_ptr<BridgeNetworkState> state)
    : state_(std::move(state)) {}

BridgeNetwork::~BridgeNetwork() {
    state_->parts->pool->remove_shelf(state_->shelf);
}

Result<Endpoint> BridgeNetwork::connect(const EndpointRequest& request) {
    const ContainerAddresses addresses = TRY(state_->enroll(request));
    Rollback rollback;
    rollback.push([&] { state_->strike_off(request.id); });
    // The ports first: they are what fails, and cost nothing to give back.
    const std::vector<BoundPort> ports =
        TRY(state_->open_ports(request.ports, addresses, request.container_name, request.id));
    rollback.push([&] { state_->close_ports(ports, addresses); });
    Endpoint endpoint = TRY(state_->wire(request, addresses, ports));
    rollback.commit();
    return endpoint;
}

Result<void> BridgeNetwork::disconnect(const std::string& endpoint_id, Detach detach) {
    // It is not put back on a bridge any more.
    const std::shared_lock together(state_->wiring);
    BridgeNetworkState::Live live;
    {
        auto guard = state_->members.lock();
        auto found = guard->endpoints.extract(endpoint_id);
        if (found.empty()) {
            return no_endpoint(endpoint_id);
        }
        // The place stays taken until the address may be given out again.
        live = std::move(found.mapped());
    }
    state_->close_ports(live.ports, live.addresses);
    state_->leave_shortcut(live.host_index);
    state_->close_links(live.addresses);
    state_->unguard_sources(live.host_interface);
    if (live.host_index != 0) {
        RouteBatch batch;
        if (detach == Detach::Now) {
            batch.delete_link(live.host_index);
        } else {
            // Silent from here on: the dead container's namespace would answer ARP requests for an
            // address that its successor has.
            batch.change_bridge_port(live.host_index, {.silence = true});
            state_->parts->reaper->discard(live.host_index, std::move(live.netns));
        }
        // ENODEV: it went with its namespace.
        const Result<std::vector<int>> errors = state_->parts->host.lock()->execute_each(batch);
        if (!errors.ok()) {
            log::debug("cannot silence an interface, ignoring", {{"endpoint", endpoint_id}});
        }
    }
    state_->bridges.lock()->give_back(live.bridge_index);
    state_->strike_off(endpoint_id);
    return ok();
}

Result<std::vector<BoundPort>>
BridgeNetwork::publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports) {
    ContainerAddresses addresses;
    std::string container_name;
    {
        auto guard = state_->members.lock();
        const BridgeNetworkState::Live* live = guard->find(endpoint_id);
        if (live == nullptr) {
            return no_endpoint(endpoint_id);
        }
        addresses = live->addresses;
        container_name = live->container_name;
    }
    std::vector<BoundPort> bound =
        TRY(state_->open_ports(ports, addresses, container_name, endpoint_id));
    {
        auto guard = state_->members.lock();
        if (BridgeNetworkState::Live* live = guard->find(endpoint_id)) {
            live->ports.insert(live->ports.end(), bound.begin(), bound.end());
            return bound;
        }
    }
    state_->close_ports(bound, addresses);
    return not_found("endpoint " + endpoint_id + " was disconnected meanwhile");
}

Result<void>
BridgeNetwork::unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports) {
    std::vector<BoundPort> closing;
    ContainerAddresses addresses;
    {
        auto guard = state_->members.lock();
        BridgeNetworkState::Live* live = guard->find(endpoint_id);
        if (live == nullptr) {
            return no_endpoint(endpoint_id);
        }
        addresses = live->addresses;
        std::vector<BoundPort>& open = live->ports;
        for (const BoundPort& port : ports) {
            const auto place = std::find(open.begin(), open.end(), port);
            if (place != open.end()) {
                closing.push_back(port);
                open.erase(place);
            }
        }
    }
    state_->close_ports(closing, addresses);
    return ok();
}

Result<void> BridgeNetwork::open_to_peer(const PeerOpening& opening) {
    return state_->open_to_peer(opening);
}

Result<void> BridgeNetwork::close_to_peer(const std::string& from, const std::string& to) {
    return state_->close_to_peer(from, to);
}

const std::string& BridgeNetwork::name() const {
    return state_->options.name;
}

const BridgeOptions& BridgeNetwork::options() const {
    return state_->options;
}

IpAddress BridgeNetwork::gateway() const {
    return state_->options.gateway.value_or(IpAddress());
}

std::optional<IpAddress> BridgeNetwork::gateway_v6() const {
    return state_->options.gateway_v6;
}

std::uint32_t BridgeNetwork::mtu() const {
    return state_->options.mtu;
}

std::size_t BridgeNetwork::endpoint_count() const {
    return state_->members.lock()->places.size();
}

std::size_t BridgeNetwork::ready() const {
    const std::shared_lock together(state_->wiring);
    return state_->parts->pool->ready(state_->shelf);
}

bool BridgeNetwork::wait_until_pool_is_full(std::chrono::milliseconds timeout) const {
    const std::shared_lock together(state_->wiring);
    return state_->parts->pool->wait_until_full(state_->shelf, timeout);
}

} // namespace berth::network
