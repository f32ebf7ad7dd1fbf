// SPDX-License-Identifier: Apache-2.0
// A network's subnets. A network may have several of each family: an endpoint has one address of
// each, and goes by what holds for the subnet that it is from.
#pragma once

#include "kernel/netlink_address.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace berth::network {

struct Subnet {
    kernel::IpPrefix prefix;
    std::optional<kernel::IpAddress> gateway{}; // never given out; nullopt: there is none
    std::optional<kernel::IpPrefix> range{};    // endpoints' addresses come from here
};

// nullptr: none of them has the address.
inline const Subnet*
subnet_of(const std::vector<Subnet>& subnets, const kernel::IpAddress& address) {
    const auto found = std::ranges::find_if(
        subnets, [&](const Subnet& subnet) { return subnet.prefix.contains(address); });
    return found == subnets.end() ? nullptr : &*found;
}

// nullptr: the network is without that family.
inline const Subnet* first_subnet(const std::vector<Subnet>& subnets, kernel::IpFamily family) {
    const auto found = std::ranges::find_if(
        subnets, [&](const Subnet& subnet) { return subnet.prefix.address.family() == family; });
    return found == subnets.end() ? nullptr : &*found;
}

} // namespace berth::network
