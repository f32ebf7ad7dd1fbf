// SPDX-License-Identifier: Apache-2.0
// A route that delivers to this host what comes in by an interface.
#pragma once

#include "kernel/netlink_route.h"

#include <cstdint>

namespace berth::kernel {

// In the local table; EEXIST when it is there. Goes with the interface.
void add_local_route(
    RouteBatch& batch, const IpPrefix& destination, int index, std::uint32_t metric);

} // namespace berth::kernel
