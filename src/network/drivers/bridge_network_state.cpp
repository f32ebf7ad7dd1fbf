// SPDX-License-Identifier: Apache-2.0
// A bridge network's own work: making it, giving addresses, wiring, and what a restart finds.
#include "network/drivers/bridge_network_state.h"

#include "base/log.h"
#include "base/rollback.h"
#include "base/verify.h"
#include "kernel/process.h"
#include "network/big_tcp.h"
#include "network/drivers/endpoint_interface.h"
#include "network/name_claim.h"

#include <algorithm>
#include <cerrno>
#include <set>

namespace berth::network {
namespace {

using kernel::RouteSocket;

NetworkAddressPlan address_plan(const BridgeOptions& options) {
    NetworkAddressPlan plan{
        .name = options.name,
        .description = options.description,
        .subnets = subnets_of(options),
        .reserved = options.reserved};
    for (const std::optional<IpAddress>& router : {options.router, options.router_v6}) {
        if (router && router != options.gateway && router != options.gateway_v6) {
            plan.reserved.push_back(*router);
        }
    }
    return plan;
}

// An administrator's own port on a bridge is not.
bool is_an_engines(const kernel::Link& port) {
    return port.kind == "veth" && port.name.starts_with("veth");
}

// Veth pairs on the bridge that are not among the known ones: what a killed engine left.
std::vector<int> stale_ports(
    const std::vector<int>& bridges,
    const std::vector<EndpointRecord>& known,
    const HostLinks& found) {
    std::set<std::string> kept;
    for (const EndpointRecord& endpoint : known) {
        kept.insert(endpoint.host_interface);
    }
    std::vector<int> stale;
    for (const int bridge : bridges) {
        const auto ports = found.by_master.find(bridge);
        if (ports == found.by_master.end()) {
            continue;
        }
        for (const kernel::Link* link : ports->second) {
            if (is_an_engines(*link) && !kept.contains(link->name)) {
                stale.push_back(link->index);
            }
        }
    }
    return stale;
}

// What an earlier build, which knew nothing of them, has left without large packets.
std::vector<int> links_without_big_packets(const BridgePorts& bridges, const HostLinks& found) {
    std::vector<int> lacking;
    for (const int bridge : bridges.bridges()) {
        const auto ports = found.by_master.find(bridge);
        if (ports == found.by_master.end()) {
            continue;
        }
        for (const kernel::Link* link : ports->second) {
            const bool is_ours = is_an_engines(*link) || bridges.is_joint(link->index);
            if (is_ours && lacks_big_packets(*link)) {
                lacking.push_back(link->index);
            }
        }
    }
    if (!lacking.empty()) {
        lacking.push_back(bridges.bridges().front());
    }
    return lacking;
}

constexpr auto mtu_is_fresh = std::chrono::seconds(1);

Result<std::uint32_t>
remembered_mtu(DriverParts& parts, const BridgeOptions& options, RouteSocket& host) {
    if (options.mtu != 0) {
        return options.mtu;
    }
    auto remembered = parts.way_out.lock();
    const auto now = std::chrono::steady_clock::now();
    if (remembered->mtu == 0 || remembered->looked_at + mtu_is_fresh < now) {
        remembered->mtu = TRY(way_out_mtu(host));
        remembered->looked_at = now;
    }
    return remembered->mtu;
}

FirewallMode firewall_mode(GatewayMode mode) {
    switch (mode) {
    case GatewayMode::Nat:
        return FirewallMode::Nat;
    case GatewayMode::NatUnprotected:
        return FirewallMode::NatUnprotected;
    case GatewayMode::Routed:
        return FirewallMode::Routed;
    case GatewayMode::Isolated:
        return FirewallMode::Isolated;
    }
    VERIFY(false);
}

FirewallBridge firewall_bridge(const BridgeOptions& options) {
    return {
        .subnet = options.subnet,
        .inter_container = options.inter_container,
        .masquerade = options.masquerade,
        .internal = options.internal,
        .subnet_v6 = options.subnet_v6,
        .mode_v4 = firewall_mode(options.gateway_mode),
        .mode_v6 = firewall_mode(options.gateway_mode_v6),
        .source_v4 = options.source_v4,
        .source_v6 = options.source_v6,
        .trusted_interfaces = options.trusted_interfaces};
}

} // namespace

Result<std::unique_ptr<BridgeNetworkState>> BridgeNetworkState::create(
    const std::shared_ptr<DriverParts>& parts,
    const BridgeOptions& options,
    const std::vector<EndpointRecord>& known,
    const HostLinks* found) {
    auto host = parts->host.lock();
    const auto mtu = TRY(remembered_mtu(*parts, options, *host));
    BridgeOptions resolved = TRY(resolve_bridge_options(options, mtu));
    NetworkMembers places = TRY(NetworkMembers::create(address_plan(resolved)));
    UniqueFd claim = TRY(claim_name("bridge", resolved.name));
    const HostBridge bridge =
        TRY(ensure_bridge(resolved, {.owner = parts->owner, .found = found}, *host));
    BridgePorts bridges(resolved, parts->owner, bridge, found);
    if (found != nullptr) {
        for (const int stale : stale_ports(bridges.bridges(), known, *found)) {
            parts->reaper->discard(stale);
        }
        if (allows_big_tcp(resolved, bridge)) {
            allow_big_packets(*host, links_without_big_packets(bridges, *found));
        }
    }
    Result<void> guarded = parts->firewall.add_bridge(resolved.name, firewall_bridge(resolved));
    if (!guarded.ok()) {
        if (bridge.ours && found == nullptr) {
            parts->reaper->discard_bridge(bridge.index);
        }
        return std::move(guarded).error();
    }
    const NamespaceTemplate shape{
        .bridge_index = bridge.index,
        .mtu = resolved.mtu,
        .isolated = !resolved.inter_container,
        .big_tcp = allows_big_tcp(resolved, bridge)};
    const NamespacePool::ShelfId shelf = parts->pool->add_shelf(shape, resolved.pool_size);
    return std::unique_ptr<BridgeNetworkState>(new BridgeNetworkState{
        .parts = parts,
        .claim = std::move(claim),
        .options = std::move(resolved),
        .bridge = bridge,
        .shape = shape,
        .shelf = shelf,
        .members = Synchronized<Members>({.places = std::move(places)}),
        .bridges = Synchronized<BridgePorts>(std::move(bridges)),
    });
}

// Gives the endpoint its place and addresses.
Result<ContainerAddresses> BridgeNetworkState::enroll(const EndpointRequest& request) {
    ContainerAddresses addresses = TRY(members.lock()->places.enroll(request));
    addresses.routed_v4 = options.gateway_mode == GatewayMode::Routed;
    addresses.routed_v6 = options.gateway_mode_v6 == GatewayMode::Routed;
    addresses.translated_v6 = parts->families == FirewallFamilies::Both;
    return addresses;
}

void BridgeNetworkState::strike_off(const std::string& endpoint_id) {
    members.lock()->places.strike_off(endpoint_id);
}

Result<PreparedNamespace>
BridgeNetworkState::plug(const EndpointRequest& request, int bridge_index) {
    NamespaceTemplate place = shape;
    place.bridge_index = bridge_index;
    if (request.netns == nullptr) {
        return bridge_index == shape.bridge_index ? parts->pool->take(shelf)
                                                  : parts->pool->take(place);
    }
    RouteSocket host = TRY(RouteSocket::open());
    AttachedInterface attached =
        TRY(attach_interface(host, *request.netns, place, request.interface_name));
    return PreparedNamespace{
        UniqueFd(),
        std::move(attached.inside),
        std::move(attached.host_interface),
        attached.host_index,
        attached.inside_index};
}

Result<Endpoint> BridgeNetworkState::wire(
    const EndpointRequest& request,
    const ContainerAddresses& addresses,
    const std::vector<BoundPort>& ports) {
    constexpr int tries = 3; // somebody may delete the bridge between any two steps
    for (int i = 1;; ++i) {
        {
            const std::shared_lock together(wiring);
            Result<Endpoint> wired = wire_once(request, addresses, ports);
            if (wired.ok() || i == tries || TRY(are_all_there())) {
                return wired;
            }
        }
        TRY(heal());
    }
}

Result<Endpoint> BridgeNetworkState::wire_once(
    const EndpointRequest& request,
    const ContainerAddresses& addresses,
    const std::vector<BoundPort>& ports) {
    Endpoint endpoint;
    endpoint.id = request.id;
    endpoint.interface_name = request.interface_name;
    if (addresses.v4) {
        endpoint.ip = *addresses.v4;
        endpoint.prefix_length = options.subnet.length;
        if (!options.internal && options.gateway_mode != GatewayMode::Isolated) {
            endpoint.gateway = options.router.value_or(*options.gateway);
        }
    }
    if (addresses.v6) {
        endpoint.ip_v6 = addresses.v6;
        endpoint.prefix_length_v6 = options.subnet_v6->length;
        if (!options.internal && options.gateway_mode_v6 != GatewayMode::Isolated) {
            endpoint.gateway_v6 = options.router_v6 ? options.router_v6 : options.gateway_v6;
        }
    }
    endpoint.mac = request.mac.value_or(
        addresses.v4 ? MacAddress::for_address(*addresses.v4) : MacAddress::random());

    Rollback rollback;
    const int bridge_index = TRY(bridges.lock()->take(*parts->host.lock()));
    rollback.push([&] { bridges.lock()->give_back(bridge_index); });
    if (!TRY(is_there(bridge_index))) {
        return Error(
            ErrorKind::Unavailable,
            "bridge " + options.name + " of network " + options.description +
                " is not there: somebody has deleted it");
    }
    Result<PreparedNamespace> plugged = plug(request, bridge_index);
    if (!plugged.ok() && plugged.error().error_number() == EXFULL) {
        // Ports on their way out are ports still.
        parts->reaper->finish();
        plugged = plug(request, bridge_index);
    }
    PreparedNamespace prepared = TRY(std::move(plugged));
    const int host_index = prepared.host_index;
    rollback.push([&] { parts->reaper->discard(host_index); });
    const FdRef inside = request.netns != nullptr ? FdRef(*request.netns) : FdRef(prepared.netns);
    const bool rename = request.netns == nullptr && request.interface_name != "eth0";
    TRY(configure_interface(
        {.inside = prepared.inside,
         .netns = inside,
         .index = prepared.inside_index,
         .form = rename ? InterfaceForm::MisnamedAndUp : InterfaceForm::Up},
        request,
        endpoint));
    TRY(limit_rates(
        request.rates, *parts->host.lock(), host_index, prepared.inside, prepared.inside_index));
    endpoint.netns = std::move(prepared.netns);
    endpoint.host_interface = std::move(prepared.host_interface);
    UniqueFd netns;
    if (endpoint.netns) {
        netns = TRY(kernel::duplicate_apart(endpoint.netns));
    }
    TRY(guard_sources(
        endpoint.host_interface,
        {.mac = endpoint.mac,
         .addresses = request.link_local,
         .egress = request.rates.egress,
         .connections = request.connections},
        addresses));
    rollback.commit();
    Live live{
        .container_name = request.container_name,
        .addresses = addresses,
        .bridge_index = bridge_index,
        .host_interface = endpoint.host_interface,
        .host_index = host_index,
        .netns = std::move(netns),
        .ports = ports};
    endpoint.ports = ports;
    join_shortcut(live, endpoint.mac, request.link_local, request.rates);
    members.lock()->endpoints.emplace(request.id, std::move(live));
    return endpoint;
}

// An endpoint whose bridge somebody has deleted while there was no engine: heal() puts it back.
Result<void> BridgeNetworkState::adopt_loose(
    const std::string& host_interface, const HostLinks& found, Live& live) {
    const auto link = std::ranges::find(found.loose_veths, host_interface, &kernel::Link::name);
    if (link == found.loose_veths.end()) {
        return ok();
    }
    live.bridge_index = TRY(bridges.lock()->take(*parts->host.lock()));
    live.host_index = (*link)->index;
    live.host_interface = host_interface;
    return ok();
}

void BridgeNetworkState::restore(const EndpointRecord& record, const HostLinks& found) {
    Live live{
        .container_name = record.container_name,
        .addresses = addresses_of(record),
        .ports = record.ports};
    live.addresses.routed_v4 = options.gateway_mode == GatewayMode::Routed;
    live.addresses.routed_v6 = options.gateway_mode_v6 == GatewayMode::Routed;
    live.addresses.translated_v6 = parts->families == FirewallFamilies::Both;
    for (const int candidate : bridges.lock()->bridges()) {
        const auto ports = found.by_master.find(candidate);
        if (ports == found.by_master.end()) {
            continue;
        }
        for (const kernel::Link* link : ports->second) {
            if (link->name == record.host_interface) {
                live.host_index = link->index;
                live.host_interface = record.host_interface;
                live.bridge_index = candidate;
            }
        }
    }
    const auto complain = [&record](const Result<void>& done) {
        if (!done.ok()) {
            log::debug(
                "cannot restore all of an endpoint, ignoring",
                {{"endpoint", record.id}, {"error", done.error().message()}});
        }
    };
    if (live.host_index != 0) {
        bridges.lock()->count(live.bridge_index);
    } else {
        complain(adopt_loose(record.host_interface, found, live));
    }
    complain(parts->ports.restore(record.ports));
    complain(parts->firewall.add_ports(record.ports, live.addresses));
    complain(parts->ports.relay(record.ports, live.addresses));
    lead_loopback(record.ports, live.addresses);
    if (live.host_index != 0) {
        complain(guard_sources(
            record.host_interface,
            {.mac = record.mac,
             .addresses = record.link_local,
             .egress = record.rates.egress,
             .connections = record.connections},
            live.addresses));
        join_shortcut(live, record.mac, record.link_local, record.rates);
    }
    auto guard = members.lock();
    complain(guard->places.restore(record.id, live.addresses));
    guard->endpoints.insert_or_assign(record.id, std::move(live));
}

Result<void> BridgeNetworkState::close() {
    return members.lock()->places.close(options.name);
}

Result<void> BridgeNetworkState::tear_down() {
    const std::unique_lock alone(wiring);
    std::map<std::string, Live> endpoints;
    {
        auto guard = members.lock();
        guard->places.dissolve();
        endpoints = std::exchange(guard->endpoints, {});
    }
    for (auto& [id, live] : endpoints) {
        close_ports(live.ports, live.addresses);
        leave_shortcut(live.host_index);
        close_links(live.addresses);
        unguard_sources(live.host_interface);
        parts->reaper->discard(live.host_index, std::move(live.netns));
    }
    parts->pool->remove_shelf(shelf);
    TRY(parts->firewall.remove_bridge(options.name));
    {
        auto further = bridges.lock();
        for (const int joint : further->joints()) {
            parts->reaper->discard(joint);
        }
        for (const int index : further->bridges()) {
            if (index != bridge.index) {
                parts->reaper->discard_bridge(index);
            }
        }
    }
    silence_bridge(options, bridge, *parts->host.lock());
    if (bridge.ours) {
        parts->reaper->discard_bridge(bridge.index);
    }
    claim.reset();
    return ok();
}

} // namespace berth::network
