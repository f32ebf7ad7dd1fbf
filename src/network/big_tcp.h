// SPDX-License-Identifier: Apache-2.0
// IPv4 packets of more than 64 KiB (BIG TCP, Linux 6.3) on the way from the host to a container.
// What a program of the host sends passes the bridge and the host's end of a veth pair as few large
// packets; each costs the same whatever its size. Both have to allow it: a port that allows less
// than its bridge would segment what it gets to the size of its MTU, in software, which is slower
// by far than never to have begun. Decision 0043.
#pragma once

#include "kernel/netlink_route.h"

#include <cstdint>
#include <vector>

namespace berth::network {

constexpr std::uint32_t big_packet_size = 262144;
constexpr std::uint32_t ordinary_packet_size = 65536; // what the kernel gives every link

// The link could allow large packets and does not; never on a kernel that has none.
bool lacks_big_packets(const kernel::Link& link);

// Of bridges and ends of veth pairs, ports first.
void allow_big_packets(kernel::RouteSocket& host, const std::vector<int>& links);

} // namespace berth::network
