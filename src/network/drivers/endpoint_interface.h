// SPDX-License-Identifier: Apache-2.0
// What all drivers do with a container's interface once it is in the container's namespace.
#pragma once

#include "kernel/netlink_route.h"
#include "network/network.h"

#include <cstdint>

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

// Sysctls and link-local addresses alone: others have done the rest.
Result<void>
complete_interface(const ContainerInterface& interface, const EndpointRequest& request);

// Name, MAC, addresses, routes and sysctls.
Result<void> configure_interface(
    const ContainerInterface& interface, const EndpointRequest& request, const Endpoint& endpoint);

} // namespace berth::network
