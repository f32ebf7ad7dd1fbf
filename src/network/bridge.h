// SPDX-License-Identifier: Apache-2.0
// The bridge of a network and what the host needs for it. Free functions over an rtnetlink socket.
#pragma once

#include "base/result.h"
#include "kernel/netlink_route.h"
#include "network/driver_parts.h"
#include "network/drivers/bridge_network.h"

#include <optional>
#include <string>
#include <vector>

namespace berth::network {

// The MTU of the link of the host's default route, the smaller one where IPv4 and IPv6 have
// different ones; 1500 when there is none.
Result<std::uint32_t> way_out_mtu(kernel::RouteSocket& host);

// Fills in the gateways, and the MTU when none was asked for. InvalidArgument for what cannot be.
Result<BridgeOptions> resolve_bridge_options(BridgeOptions options, std::uint32_t way_out_mtu);

struct HostBridge {
    int index = 0;
    bool ours = true;              // made by an engine; not by an administrator, whose it stays
    std::vector<IpPrefix> added{}; // addresses that it had not before
    MacAddress mac{};
};

struct BridgeOrigin {
    std::string owner; // the label of a bridge that is made
    // When an engine starts: has the addresses that an earlier one gave.
    const HostLinks* found = nullptr;
    // Of the bridge that this one stands in for: containers know their gateway by it.
    std::optional<MacAddress> mac{};
};

// Makes the bridge if there is none of that name, labels it as its owner's, gives it the gateways'
// addresses, brings it up. Conflict when the name belongs to an interface that is no bridge.
Result<HostBridge>
ensure_bridge(const BridgeOptions& options, const BridgeOrigin& origin, kernel::RouteSocket& host);

// An administrator's bridge is left as it is: what else is on it is not known, and may take less.
inline bool allows_big_tcp(const BridgeOptions& options, const HostBridge& bridge) {
    return options.big_tcp && bridge.ours;
}

// What makes the bridge carry nothing at once: its addresses, and with them its routes, go. The
// interface is removed behind.
void silence_bridge(
    const BridgeOptions& options, const HostBridge& bridge, kernel::RouteSocket& host);

} // namespace berth::network
