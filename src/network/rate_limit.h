// SPDX-License-Identifier: Apache-2.0
// How fast a container may send and receive in a network.
#pragma once

#include "base/result.h"
#include "kernel/netlink_route.h"

#include <cstdint>
#include <string_view>

namespace berth::network {

// Bytes per second; 0: as fast as it goes.
struct RateLimits {
    std::uint64_t egress = 0;  // from the container
    std::uint64_t ingress = 0; // to it

    bool operator==(const RateLimits&) const = default;
};

// As tc(8) words it: "10mbit", "1.5gbit", "500kbps" (bytes), "8000" (bits); a second is meant.
// InvalidArgument for anything else, and for less than 8 kbit.
Result<std::uint64_t> parse_rate(std::string_view text);

// Egress is held back in the container's own interface, where its programs feel it at once, ingress
// in the host's end. A container that may administer its network can take the former away: what it
// sends then is held to its rate by the firewall (FirewallEndpoint), which drops.
Result<void> limit_rates(
    const RateLimits& limits,
    kernel::RouteSocket& host,
    int host_index,
    kernel::RouteSocket& inside,
    int inside_index);

} // namespace berth::network
