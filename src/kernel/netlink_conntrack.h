// SPDX-License-Identifier: Apache-2.0
// Tracked connections: looking one up, and forgetting some. Address translation is decided by a
// connection's first packet: what a UDP client has been sending to a port goes on as before when
// the port is published or its container replaced, for as long as it keeps sending.
#pragma once

#include "base/result.h"
#include "kernel/netlink_address.h"
#include "kernel/netlink_socket.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace berth::kernel {

struct TrackedConnection {
    std::uint8_t protocol = 0;
    std::uint16_t destination_port = 0; // as the client asked for it
    IpAddress reply_source;             // who answers, behind address translation
    std::vector<std::uint8_t> original; // the kernel's own description of it, to name it by
};

// What is absent is not looked at.
struct ConnectionMatch {
    IpFamily family = IpFamily::V4; // not that of reply_source alone: it may be absent
    std::uint8_t protocol = 0;
    std::optional<std::uint16_t> destination_port;
    std::optional<IpAddress> reply_source;
};

// The number of connections of that family that were forgotten. REQUIRES: socket opened for
// netfilter_protocol.
Result<std::size_t> forget_connections(NetlinkSocket& socket, const ConnectionMatch& match);

std::optional<TrackedConnection> parse_connection(const nlmsghdr& header);

// One direction of a connection, as its packets look before address translation. Both addresses are
// of one family.
struct FlowTuple {
    IpAddress source;
    IpAddress destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;

    auto operator<=>(const FlowTuple&) const = default;
};

struct TrackedFlow {
    FlowTuple original;       // of who opened it
    FlowTuple reply;          // of the answers, as the one sends them who was reached
    bool established = false; // by both sides, and nobody has begun to end it
    // Something beside addresses and ports is changed in its packets, or may be (helpers, sequence
    // numbers).
    bool rewritten = false;
};

// A TCP connection, by either direction. nullopt: there is none. REQUIRES: as above.
Result<std::optional<TrackedFlow>> find_tcp_flow(NetlinkSocket& socket, const FlowTuple& tuple);

// From now on segments of this connection are let through that are out of the window as far as the
// kernel knows: it does not see them all.
Result<void> let_flow_skip_windows(NetlinkSocket& socket, const FlowTuple& tuple);

std::optional<TrackedFlow> parse_tcp_flow(const nlmsghdr& header);

} // namespace berth::kernel
