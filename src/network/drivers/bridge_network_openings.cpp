// SPDX-License-Identifier: Apache-2.0
// What of a bridge network's endpoints is written into the firewall: published ports, and the
// addresses that an interface may send from, and its short way past the bridge.
#include "base/log.h"
#include "network/drivers/bridge_network_state.h"

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
    std::vector<BoundPort> bound = TRY_CONTEXT(parts->ports.reserve(ports, addresses), context);
    Result<void> written = parts->firewall.add_ports(bound, addresses);
    if (!written.ok()) {
        parts->ports.release(bound);
        return std::move(written).error().with_context(context);
    }
    parts->firewall.forget_datagram_flows(bound, addresses);
    return bound;
}

void BridgeNetworkState::close_ports(
    const std::vector<BoundPort>& ports, const ContainerAddresses& addresses) {
    if (ports.empty()) {
        return;
    }
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
    const MacAddress& mac,
    const ContainerAddresses& addresses,
    const std::vector<IpAddress>& further) {
    const FirewallEndpoint endpoint{
        .bridge = options.name,
        .mac = mac,
        .addresses = sent_from(addresses, further),
        .any_source = options.any_source};
    return parts->firewall.add_endpoint(host_interface, endpoint);
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

void BridgeNetworkState::join_shortcut(
    const Live& live,
    const MacAddress& mac,
    const std::vector<IpAddress>& further,
    const RateLimits& rates) {
    const bool limited = rates != RateLimits();
    if (!options.shortcut || !options.inter_container || limited) {
        return;
    }
    const Result<void> joined = parts->shortcut.join(
        *parts->host.lock(),
        {.network = bridge.index,
         .host_index = live.host_index,
         .mac = mac,
         .addresses = sent_from(live.addresses, further)});
    if (!joined.ok()) {
        log::debug(
            "no short way for an endpoint, ignoring",
            {{"interface", live.host_interface}, {"error", joined.error().message()}});
    }
}

} // namespace berth::network
