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

// The next prefix of the same length; nullopt behind the last one.
std::optional<kernel::IpPrefix> successor(const kernel::IpPrefix& prefix);

} // namespace berth::network
