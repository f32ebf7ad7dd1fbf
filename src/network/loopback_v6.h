// SPDX-License-Identifier: Apache-2.0
// Published ports at [::1]. For IPv4 the kernel has route_localnet; for IPv6 it has no such switch,
// but it routes by rules that can be met: an answer whose destination has become ::1 again is
// delivered if there is a local route to ::1 by the interface that it came by, since destinations
// like that are looked up strictly by interface. Packets with ::1 in them on the wire are dropped
// long before. With br_netfilter's ip6tables the answer is turned round already on the bridge,
// which is before that check, and dropped: then there is no way.
#pragma once

#include "base/result.h"

#include <string>

namespace berth::network {

// Whether the host's own connections to ::1 can lead to containers.
bool can_carry_loopback_v6();

// Lets the bridge carry them, until it is removed.
Result<void> carry_loopback_v6(const std::string& bridge);

} // namespace berth::network
