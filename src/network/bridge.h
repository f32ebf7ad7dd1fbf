// SPDX-License-Identifier: Apache-2.0
// The bridge of a network and what the host needs for it. Free functions over an rtnetlink socket.
#pragma once

#include "base/result.h"
#include "kernel/netlink_route.h"
#include "network/network.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace berth::network {

// Fills in the gateway and the MTU. InvalidArgument for what cannot be.
Result<BridgeOptions> resolve_bridge_options(BridgeOptions options, kernel::RouteSocket& host);

// Makes the bridge if there is none of that name, gives it the gateway's address, brings it up.
// Conflict when the name belongs to an interface that is no bridge. Returns its index.
Result<int> ensure_bridge(const BridgeOptions& options, kernel::RouteSocket& host);

// Interfaces on the bridge that are not among the known ones: what a killed engine left.
Result<std::vector<int>>
stale_ports(int bridge_index, const std::set<std::string>& known, kernel::RouteSocket& host);

// The first of Docker's default subnets that overlaps with none of the taken ones and no route.
Result<IpPrefix> pick_free_subnet(const std::vector<IpPrefix>& taken, kernel::RouteSocket& host);

} // namespace berth::network
