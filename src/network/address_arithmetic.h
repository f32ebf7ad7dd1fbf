// SPDX-License-Identifier: Apache-2.0
// Counting through the addresses of a prefix, in both families.
#pragma once

#include "kernel/netlink_address.h"

#include <optional>

namespace berth::network {

// The last address of the prefix: the broadcast address of an IPv4 subnet.
kernel::IpAddress last_of(const kernel::IpPrefix& prefix);

// The next address; the first one of all follows the last.
kernel::IpAddress successor(const kernel::IpAddress& address);

// Whether the address is that of the network or its broadcast address, which nobody can have. In
// subnets of two addresses and of one there is no such thing.
bool names_all_of(const kernel::IpPrefix& subnet, const kernel::IpAddress& address);

// Docker's choice when no gateway was asked for: the first address of what addresses come from.
kernel::IpAddress
usual_gateway(const kernel::IpPrefix& subnet, const std::optional<kernel::IpPrefix>& range);

// The next prefix of the same length; nullopt behind the last one.
std::optional<kernel::IpPrefix> successor(const kernel::IpPrefix& prefix);

} // namespace berth::network
