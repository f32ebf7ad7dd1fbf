// SPDX-License-Identifier: Apache-2.0
// The bridge of a network and what the host needs for it. Free functions over an rtnetlink socket.
#pragma once

#include "base/result.h"
#include "kernel/netlink_route.h"
#include "network/drivers/bridge_network.h"

#include <string>
#include <vector>

namespace berth::network {

// Fills in the gateways and the MTU. InvalidArgument for what cannot be.
Result<BridgeOptions> resolve_bridge_options(BridgeOptions options, kernel::RouteSocket& host);

struct HostBridge {
    int index = 0;
    bool ours = true;              // made by an engine; not by an administrator, whose it stays
    std::vector<IpPrefix> added{}; // addresses that it had not before
};

// Makes the bridge if there is none of that name, labels it as `owner`'s, gives it the gateways'
// addresses, brings it up. Conflict when the name belongs to an interface that is no bridge.
Result<HostBridge>
ensure_bridge(const BridgeOptions& options, const std::string& owner, kernel::RouteSocket& host);

// What makes the bridge carry nothing at once: its addresses, and with them its routes, go. The
// interface is removed behind.
void silence_bridge(
    const BridgeOptions& options, const HostBridge& bridge, kernel::RouteSocket& host);

} // namespace berth::network
