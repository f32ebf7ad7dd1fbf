// SPDX-License-Identifier: Apache-2.0
// Joining containers to a bridge and taking them off it.
#include "base/log.h"
#include "base/rollback.h"
#include "network/bridge.h"
#include "network/bridge_network_state.h"
#include "network/name_claim.h"

#include <algorithm>
#include <cerrno>
#include <set>

namespace berth::network {

using kernel::LinkState;
using kernel::RouteBatch;
using kernel::RouteSocket;

Result<std::unique_ptr<BridgeNetwork::State>> BridgeNetwork::State::create(
    std::shared_ptr<DriverParts> parts,
    const BridgeOptions& options,
    const std::vector<EndpointRecord>& known) {
    auto host = parts->host.lock();
    BridgeOptions resolved = TRY(resolve_bridge_options(options, *host));
    AddressPool addresses = TRY(AddressPool::create(resolved.subnet, resolved.ip_range));
    TRY(addresses.reserve(*resolved.gateway));
    for (const IpAddress& address : resolved.reserved) {
        TRY(addresses.reserve(address));
    }
    UniqueFd claim = TRY(claim_name("bridge", resolved.name));
    const int index = TRY(ensure_bridge(resolved, *host));
    std::set<std::string> kept;
    for (const EndpointRecord& endpoint : known) {
        kept.insert(endpoint.host_interface);
    }
    for (const int stale : TRY(stale_ports(index, kept, *host))) {
        parts->reaper->discard(stale);
    }
    TRY(parts->firewall.add_bridge(
        resolved.name,
        {.subnet = resolved.subnet,
         .inter_container = resolved.inter_container,
         .masquerade = resolved.masquerade,
         .internal = resolved.internal}));
    const NamespaceTemplate shape{
        .bridge_index = index, .mtu = resolved.mtu, .isolated = !resolved.inter_container};
    const NamespacePool::ShelfId shelf = parts->pool->add_shelf(shape, resolved.pool_size);
    return std::unique_ptr<State>(new State{
        .parts = parts,
        .claim = std::move(claim),
        .options = std::move(resolved),
        .shape = shape,
        .shelf = shelf,
        .members = Synchronized<Members>(Members{std::move(addresses), {}}),
    });
}

// Gives the endpoint its place and address.
Result<IpAddress> BridgeNetwork::State::enroll(const EndpointRequest& request) {
    auto guard = members.lock();
    if (guard->removed) {
        return not_found("network " + options.name + " not found");
    }
    if (guard->endpoints.contains(request.id)) {
        return conflict(
            "endpoint with name " + request.container_name + " already exists in network " +
            options.name);
    }
    IpAddress ip;
    if (request.ip) {
        TRY(guard->addresses.reserve(*request.ip));
        ip = *request.ip;
    } else {
        ip = TRY(guard->addresses.allocate());
    }
    guard->endpoints.emplace(request.id, std::nullopt);
    return ip;
}

void BridgeNetwork::State::strike_off(const std::string& endpoint_id, const IpAddress& ip) {
    auto guard = members.lock();
    guard->endpoints.erase(endpoint_id);
    guard->addresses.release(ip);
}

Result<void> BridgeNetwork::State::configure(
    RouteSocket& inside, int index, const EndpointRequest& request, Endpoint& endpoint) const {
    const bool rename = request.netns == nullptr && request.interface_name != "eth0";
    RouteBatch batch;
    if (rename) {
        // Kernels before 6.2 rename only interfaces that are down.
        batch.change_link(index, {.state = LinkState::Down});
        batch.change_link(index, {.name = request.interface_name});
    }
    batch.change_link(
        index,
        {.state = rename ? std::optional(LinkState::Up) : std::nullopt, .mac = endpoint.mac});
    batch.add_address(index, {endpoint.ip, endpoint.prefix_length});
    if (request.default_route && !options.internal) {
        batch.add_route({.destination = {}, .gateway = endpoint.gateway});
    }
    return inside.execute(batch);
}

// The interfaces, without the ports.
Result<Endpoint> BridgeNetwork::State::wire(const EndpointRequest& request, const IpAddress& ip) {
    Endpoint endpoint;
    endpoint.id = request.id;
    endpoint.ip = ip;
    endpoint.prefix_length = options.subnet.length;
    endpoint.gateway = *options.gateway;
    endpoint.mac = request.mac.value_or(MacAddress::for_address(ip));
    endpoint.interface_name = request.interface_name;

    Rollback rollback;
    int host_index = 0;
    if (request.netns == nullptr) {
        PreparedNamespace prepared = TRY(parts->pool->take(shelf));
        host_index = prepared.host_index;
        rollback.push([&] { parts->reaper->discard(host_index); });
        TRY(configure(prepared.inside, prepared.inside_index, request, endpoint));
        endpoint.netns = std::move(prepared.netns);
        endpoint.host_interface = std::move(prepared.host_interface);
    } else {
        RouteSocket host = TRY(RouteSocket::open());
        AttachedInterface attached =
            TRY(attach_interface(host, *request.netns, shape, request.interface_name));
        host_index = attached.host_index;
        rollback.push([&] { parts->reaper->discard(host_index); });
        TRY(configure(attached.inside, attached.inside_index, request, endpoint));
        endpoint.host_interface = std::move(attached.host_interface);
    }
    UniqueFd netns;
    if (endpoint.netns) {
        netns = TRY(endpoint.netns.duplicate());
    }
    TRY(guard_sources(endpoint.host_interface, endpoint.mac, ip));
    rollback.commit();
    auto guard = members.lock();
    guard->endpoints[request.id] = Live{
        .container_name = request.container_name,
        .ip = ip,
        .host_index = host_index,
        .host_interface = endpoint.host_interface,
        .netns = std::move(netns),
        .ports = {}};
    return endpoint;
}

Result<std::vector<BoundPort>> BridgeNetwork::State::open_ports(
    const std::vector<PortRequest>& ports,
    const IpAddress& ip,
    const std::string& container_name,
    const std::string& endpoint_id) {
    // Docker ignores -p on an internal network.
    if (ports.empty() || options.internal) {
        return std::vector<BoundPort>();
    }
    const std::string context = "driver failed programming external connectivity on endpoint " +
                                container_name + " (" + endpoint_id + ")";
    std::vector<BoundPort> bound = TRY_CONTEXT(parts->ports.reserve(ports, ip), context);
    Result<void> written = parts->firewall.add_ports(bound, ip);
    if (!written.ok()) {
        parts->ports.release(bound);
        return std::move(written).error().with_context(context);
    }
    parts->firewall.forget_datagram_flows(bound, ip);
    return bound;
}

void BridgeNetwork::State::close_ports(const std::vector<BoundPort>& ports, const IpAddress& ip) {
    if (ports.empty()) {
        return;
    }
    const Result<void> removed = parts->firewall.remove_ports(ports, ip);
    if (!removed.ok()) {
        log::debug(
            "cannot remove published ports, ignoring", {{"error", removed.error().message()}});
    }
    parts->firewall.forget_datagram_flows(ports, ip);
    parts->ports.release(ports);
}

Result<void> BridgeNetwork::State::guard_sources(
    const std::string& host_interface, const MacAddress& mac, const IpAddress& ip) {
    return parts->firewall.add_endpoint(
        host_interface, {.bridge = options.name, .mac = mac, .addresses = {ip}});
}

void BridgeNetwork::State::unguard_sources(const std::string& host_interface) {
    const Result<void> done = parts->firewall.remove_endpoint(host_interface);
    if (!done.ok()) {
        log::debug(
            "cannot take an endpoint out of the firewall, ignoring",
            {{"interface", host_interface}, {"error", done.error().message()}});
    }
}

void BridgeNetwork::State::restore(const EndpointRecord& record) {
    Live live{.container_name = record.container_name, .ip = record.ip, .ports = record.ports};
    const Result<std::optional<kernel::Link>> link =
        parts->host.lock()->find_link(record.host_interface);
    if (link.ok() && link.value()) {
        live.host_index = link.value()->index;
        live.host_interface = record.host_interface;
    }
    const Result<void> held = parts->ports.restore(record.ports);
    const Result<void> written = parts->firewall.add_ports(record.ports, record.ip);
    const Result<void> guarded =
        live.host_index != 0 ? guard_sources(record.host_interface, record.mac, record.ip) : ok();
    for (const Result<void>* step : {&held, &written, &guarded}) {
        if (!step->ok()) {
            log::debug(
                "cannot restore all of an endpoint, ignoring",
                {{"error", step->error().message()}});
        }
    }
    auto guard = members.lock();
    const Result<void> reserved = guard->addresses.reserve(record.ip);
    if (!reserved.ok()) {
        log::debug(
            "a restored endpoint's address is taken, ignoring", {{"ip", record.ip.to_string()}});
    }
    guard->endpoints.insert_or_assign(record.id, std::move(live));
}

Result<void> BridgeNetwork::State::tear_down() {
    std::map<std::string, std::optional<Live>> endpoints;
    {
        auto guard = members.lock();
        guard->removed = true;
        endpoints = std::exchange(guard->endpoints, {});
    }
    for (auto& [id, live] : endpoints) {
        if (live) {
            close_ports(live->ports, live->ip);
            unguard_sources(live->host_interface);
            parts->reaper->discard(live->host_index, std::move(live->netns));
        }
    }
    parts->pool->remove_shelf(shelf);
    TRY(parts->firewall.remove_bridge(options.name));
    RouteBatch removal;
    removal.delete_link(shape.bridge_index);
    const std::vector<int> errors = TRY(parts->host.lock()->execute_each(removal));
    if (errors[0] != 0 && errors[0] != ENODEV) {
        return Error::from_errno("delete bridge " + options.name, errors[0]);
    }
    claim.reset();
    return ok();
}

BridgeNetwork::BridgeNetwork(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

BridgeNetwork::~BridgeNetwork() {
    state_->parts->pool->remove_shelf(state_->shelf);
}

Result<Endpoint> BridgeNetwork::connect(const EndpointRequest& request) {
    const IpAddress ip = TRY(state_->enroll(request));
    Rollback rollback;
    rollback.push([&] { state_->strike_off(request.id, ip); });
    // The ports first: they are what fails, and cost nothing to give back.
    std::vector<BoundPort> ports =
        TRY(state_->open_ports(request.ports, ip, request.container_name, request.id));
    rollback.push([&] { state_->close_ports(ports, ip); });
    Endpoint endpoint = TRY(state_->wire(request, ip));
    rollback.commit();
    endpoint.ports = ports;
    auto guard = state_->members.lock();
    if (std::optional<State::Live>& live = guard->endpoints[request.id]) {
        live->ports = std::move(ports);
    }
    return endpoint;
}

Result<void> BridgeNetwork::disconnect(const std::string& endpoint_id, Detach detach) {
    State::Live live;
    {
        auto guard = state_->members.lock();
        const auto found = guard->endpoints.find(endpoint_id);
        if (found == guard->endpoints.end() || !found->second) {
            return not_found("endpoint " + endpoint_id + " not found");
        }
        // The place stays taken until the address may be given out again.
        live = *std::move(found->second);
        found->second.reset();
    }
    state_->close_ports(live.ports, live.ip);
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
    state_->strike_off(endpoint_id, live.ip);
    return ok();
}

Result<std::vector<BoundPort>>
BridgeNetwork::publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports) {
    IpAddress ip;
    std::string container_name;
    {
        auto guard = state_->members.lock();
        const auto found = guard->endpoints.find(endpoint_id);
        if (found == guard->endpoints.end() || !found->second) {
            return not_found("endpoint " + endpoint_id + " not found");
        }
        ip = found->second->ip;
        container_name = found->second->container_name;
    }
    std::vector<BoundPort> bound = TRY(state_->open_ports(ports, ip, container_name, endpoint_id));
    auto guard = state_->members.lock();
    const auto found = guard->endpoints.find(endpoint_id);
    if (found == guard->endpoints.end() || !found->second) {
        state_->close_ports(bound, ip);
        return not_found("endpoint " + endpoint_id + " was disconnected meanwhile");
    }
    found->second->ports.insert(found->second->ports.end(), bound.begin(), bound.end());
    return bound;
}

Result<void>
BridgeNetwork::unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports) {
    std::vector<BoundPort> closing;
    IpAddress ip;
    {
        auto guard = state_->members.lock();
        const auto found = guard->endpoints.find(endpoint_id);
        if (found == guard->endpoints.end() || !found->second) {
            return not_found("endpoint " + endpoint_id + " not found");
        }
        ip = found->second->ip;
        std::vector<BoundPort>& open = found->second->ports;
        for (const BoundPort& port : ports) {
            const auto place = std::find(open.begin(), open.end(), port);
            if (place != open.end()) {
                closing.push_back(port);
                open.erase(place);
            }
        }
    }
    state_->close_ports(closing, ip);
    return ok();
}

const std::string& BridgeNetwork::name() const {
    return state_->options.name;
}

const BridgeOptions& BridgeNetwork::options() const {
    return state_->options;
}

IpAddress BridgeNetwork::gateway() const {
    return *state_->options.gateway;
}

std::uint32_t BridgeNetwork::mtu() const {
    return state_->options.mtu;
}

std::size_t BridgeNetwork::endpoint_count() const {
    return state_->members.lock()->endpoints.size();
}

std::size_t BridgeNetwork::ready() const {
    return state_->parts->pool->ready(state_->shelf);
}

bool BridgeNetwork::wait_until_pool_is_full(std::chrono::milliseconds timeout) const {
    return state_->parts->pool->wait_until_full(state_->shelf, timeout);
}

} // namespace berth::network
