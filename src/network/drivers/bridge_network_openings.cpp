// SPDX-License-Identifier: Apache-2.0
// What of a bridge network's endpoints is written into the firewall: published ports, and the
// addresses that an interface may send from, and its short way past the bridge.
#include "base/log.h"
#include "network/drivers/bridge_network_state.h"

#include <set>
#include <utility>

namespace berth::network {
namespace {

std::vector<IpAddress>
sent_from(const ContainerAddresses& addresses, std::vector<IpAddress> further) {
    for (const std::optional<IpAddress>& address : {addresses.v4, addresses.v6}) {
        if (address) {
            further.push_back(*address);
        }
    }
    return further;
}

} // namespace

Result<std::vector<BoundPort>> BridgeNetworkState::open_ports(
    const std::vector<PortRequest>& ports,
    const ContainerAddresses& addresses,
    const std::string& container_name,
    const std::string& endpoint_id) {
    // Docker ignores -p on an internal network.
    if (ports.empty() || options.internal) {
        return std::vector<BoundPort>();
    }
    const std::string context = "driver failed programming external connectivity on endpoint " +
                                container_name + " (" + endpoint_id + ")";
    ContainerAddresses reached = addresses;
    reached.relayed_v6 = parts->relays_ports;
    std::vector<BoundPort> bound = TRY_CONTEXT(parts->ports.reserve(ports, reached), context);
    Result<void> written = parts->firewall.add_ports(bound, addresses);
    if (written.ok()) {
        written = parts->ports.relay(bound, addresses);
    }
    if (!written.ok()) {
        close_ports(bound, addresses);
        return std::move(written).error().with_context(context);
    }
    parts->firewall.forget_datagram_flows(bound, addresses);
    lead_loopback(bound, addresses);
    return bound;
}

void BridgeNetworkState::lead_loopback(
    const std::vector<BoundPort>& ports, const ContainerAddresses& addresses) {
    if (!options.shortcut) {
        return;
    }
    ContainerAddresses led = addresses;
    if (!led.translated_v6) {
        led.v6.reset();
    }
    parts->loopback.add(ports, led);
}

void BridgeNetworkState::close_ports(
    const std::vector<BoundPort>& ports, const ContainerAddresses& addresses) {
    if (ports.empty()) {
        return;
    }
    parts->loopback.remove(ports);
    const Result<void> removed = parts->firewall.remove_ports(ports, addresses);
    if (!removed.ok()) {
        log::debug(
            "cannot remove published ports, ignoring", {{"error", removed.error().message()}});
    }
    parts->firewall.forget_datagram_flows(ports, addresses);
    parts->ports.release(ports);
}

Result<void> BridgeNetworkState::guard_sources(
    const std::string& host_interface,
    FirewallEndpoint endpoint,
    const ContainerAddresses& addresses) {
    endpoint.bridge = options.name;
    endpoint.any_source = options.any_source;
    endpoint.addresses = sent_from(addresses, std::move(endpoint.addresses));
    return parts->firewall.add_endpoint(host_interface, endpoint);
}

// Under the lock of the members: an endpoint that goes is out of it before its links are closed, so
// that none can stay, for whoever has the address next.
Result<void> BridgeNetworkState::open_to_peer(const PeerOpening& opening) {
    if (options.inter_container) {
        return ok();
    }
    auto guard = members.lock();
    const Live* from = guard->find(opening.from);
    const Live* to = guard->find(opening.to);
    if (from == nullptr || to == nullptr) {
        return not_found("one of two linked endpoints is not connected any more");
    }
    if (!from->addresses.v4 || !to->addresses.v4) {
        return ok(); // as with Docker, links open nothing in IPv6
    }
    std::set<FirewallContent::Link> links;
    for (const auto& [protocol, port] : opening.ports) {
        links.emplace(*from->addresses.v4, *to->addresses.v4, protocol, port);
    }
    return parts->firewall.add_links(links);
}

Result<void> BridgeNetworkState::close_to_peer(const std::string& from, const std::string& to) {
    auto guard = members.lock();
    const Live* one = guard->find(from);
    const Live* other = guard->find(to);
    if (one == nullptr || other == nullptr || !one->addresses.v4 || !other->addresses.v4) {
        return ok();
    }
    return parts->firewall.remove_links(*one->addresses.v4, *other->addresses.v4);
}

void BridgeNetworkState::close_links(const ContainerAddresses& addresses) {
    if (options.inter_container || !addresses.v4) {
        return;
    }
    const Result<void> closed = parts->firewall.remove_links(*addresses.v4);
    if (!closed.ok()) {
        log::debug("cannot close links, ignoring", {{"error", closed.error().message()}});
    }
}

void BridgeNetworkState::unguard_sources(const std::string& host_interface) {
    if (host_interface.empty()) {
        return;
    }
    const Result<void> done = parts->firewall.remove_endpoint(host_interface);
    if (!done.ok()) {
        log::debug(
            "cannot take an endpoint out of the firewall, ignoring",
            {{"interface", host_interface}, {"error", done.error().message()}});
    }
}

void BridgeNetworkState::leave_shortcut(int host_index) {
    parts->shortcut.leave(host_index);
    parts->flows.leave(host_index);
}

void BridgeNetworkState::join_shortcut(
    Live& live,
    const MacAddress& mac,
    const std::vector<IpAddress>& further,
    const RateLimits& rates) {
    const bool limited = rates != RateLimits();
    if (!options.shortcut || !options.inter_container || limited) {
        return;
    }
    join_shortcut(
        live,
        {.network = bridge.index,
         .host_index = live.host_index,
         .mac = mac,
         .addresses = sent_from(live.addresses, further),
         .gateway_mac = bridge.mac});
}

void BridgeNetworkState::join_shortcut(Live& live, const ShortcutMember& member) {
    const Result<void> joined = parts->shortcut.join(*parts->host.lock(), member);
    if (joined.ok()) {
        parts->flows.join(member);
        live.shortcut = member;
    } else {
        log::debug(
            "no short way for an endpoint, ignoring",
            {{"interface", live.host_interface}, {"error", joined.error().message()}});
    }
}

} // namespace berth::network
