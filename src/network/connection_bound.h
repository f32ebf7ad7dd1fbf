// SPDX-License-Identifier: Apache-2.0
// How many connections a container may have open. The kernel's table of tracked connections is
// everybody's: who filled it would shut out all others.
//
// To count a container's connections the kernel looks at each of them, once in each tick of its
// clock in which there is a new one: with ten thousand, that is a millisecond, and a container that
// floods would cost more than what it is kept from. So a container's connections are dealt out to
// parts, by a hash of their other end and ports, and each part is counted by itself: what is looked
// at stays few. The kernel also remembers the refused ones until it gets round to them; hence a
// part that has reached its bound is refused without counting for a second. A flood costs next to
// nothing then, and what was closed is noticed soon enough. As the parts do not fill evenly, the
// first refusal may come when four fifths of all are there.
#pragma once

#include "kernel/netlink_address.h"
#include "kernel/netlink_socket.h"
#include "kernel/nftables.h"

#include <cstdint>
#include <set>
#include <string>

namespace berth::network {

// The chain that new connections of containers come by.
constexpr const char* bounds_chain = "bounds";

// The set of addresses that may have this many connections each.
std::string bounded_set(kernel::IpFamily family, std::uint32_t connections);

// What the chain and sets are for these bounds; they may be there already, the chain is.
void write_bounds(kernel::NftBatch& batch, const std::set<std::uint32_t>& bounds);

// Whether the kernel has what it takes; tried out beside the table of this name.
bool can_count_connections(kernel::NetlinkSocket& socket, const std::string& table);

// When nobody asks for a number: a part of what the kernel tracks altogether.
std::uint32_t default_connections();

} // namespace berth::network
