// SPDX-License-Identifier: Apache-2.0
// The eBPF programs of flow_shortcut.h, and the table that they share with it: one direction of a
// connection each, by the interface that its packets come in by. Internal.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/bpf.h"
#include "kernel/bpf_ring.h"
#include "kernel/netlink_conntrack.h"
#include "kernel/netlink_route.h"

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

namespace berth::network {

// Addresses and ports in network order.
struct FlowKey {
    std::uint32_t interface = 0;
    std::uint32_t source = 0;
    std::uint32_t destination = 0;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;

    auto operator<=>(const FlowKey&) const = default;
};

static_assert(sizeof(FlowKey) == 16);

// What becomes of its packets. Times are those of CLOCK_MONOTONIC, in nanoseconds.
struct FlowWay {
    std::uint32_t source = 0;
    std::uint32_t destination = 0;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint32_t interface = 0; // that they leave by
    std::uint32_t to_peer = 0;   // 1: handed to the other end of that pair; 0: by its neighbors
    std::uint32_t mtu = 0;
    std::uint32_t next_hop = 0; // the neighbor that is asked for, where it is no peer
    // Of checksums, by RFC 1624: of both addresses, of both ports.
    std::uint32_t address_difference = 0;
    std::uint32_t port_difference = 0;
    std::array<std::uint8_t, 6> mac{}; // of the receiver, and of the sender; for a peer
    std::array<std::uint8_t, 6> sender_mac{};
    std::uint64_t ordinary_at = 0; // the next packet from then on goes the ordinary way
    std::uint64_t until = 0;       // and all from then on

    bool leads_like(const FlowWay& that) const;
};

static_assert(sizeof(FlowWay) == 64);

// The way of packets that look like `from` and shall look like `to`, without interfaces, next hop
// and times.
FlowWay way_between(const kernel::FlowTuple& from, const kernel::FlowTuple& to);
FlowKey flow_key(int interface, const kernel::FlowTuple& tuple);
kernel::FlowTuple flow_tuple(const FlowKey& key);

// How long connections are heard of: the program counts their packets, on each processor, and
// leaves the key of those that have many in the ring.
struct FlowNews {
    kernel::BpfRing ring;
    UniqueFd counts;

    static Result<FlowNews> create(std::size_t ring_bytes);
};

// BPF_PROG_TYPE_SCHED_CLS. Packets that are in no flow go on, past further programs if there is
// something to tell the news to.
std::vector<bpf_insn> flow_program(const kernel::BpfHash& flows, const FlowNews* news);

} // namespace berth::network
