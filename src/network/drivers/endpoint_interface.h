// SPDX-License-Identifier: Apache-2.0
// What all drivers do with a container's interface once it is in the container's namespace, and how
// its addresses are chosen.
#pragma once

#include "kernel/netlink_route.h"
#include "network/address_pool.h"
#include "network/network.h"

#include <cstdint>
#include <optional>

namespace berth::network {

enum class InterfaceForm : std::uint8_t {
    Up,            // with its name, without its MAC
    MisnamedAndUp, // without either
    Down,          // with both
};

struct ContainerInterface {
    kernel::RouteSocket& inside;
    FdRef netns;
    int index = 0;
    InterfaceForm form = InterfaceForm::Up;
};

// Name, MAC, addresses, routes and sysctls.
Result<void> configure_interface(
    const ContainerInterface& interface, const EndpointRequest& request, const Endpoint& endpoint);

// The wanted address, or any; none where there is no pool. An address of a family that the network
// does not have is the user's mistake.
Result<std::optional<IpAddress>>
give_address(std::optional<AddressPool>& pool, const std::optional<IpAddress>& wanted);

} // namespace berth::network
