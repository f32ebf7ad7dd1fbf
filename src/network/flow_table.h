// SPDX-License-Identifier: Apache-2.0
// The table that flow_shortcut.h shares with its eBPF programs (flow_program.h): one direction of a
// connection each, by the interface that its packets come in by. The kernel has a hash for each
// version of IP, so that the longer addresses of one do not cost the other time. Internal.
#pragma once

#include "base/result.h"
#include "kernel/bpf.h"
#include "kernel/netlink_address.h"
#include "kernel/netlink_conntrack.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace berth::network {

struct FlowKey {
    int interface = 0;
    kernel::FlowTuple packets{}; // as they come in

    auto operator<=>(const FlowKey&) const = default;
};

// What becomes of its packets.
struct FlowWay {
    kernel::FlowTuple packets{}; // as they go on
    int interface = 0;           // that they leave by
    bool to_peer = false;        // handed to the other end of that pair; else by its neighbors
    std::uint32_t mtu = 0;
    kernel::IpAddress next_hop{}; // the neighbor that is asked for, where it is no peer
    kernel::MacAddress mac{};     // of the receiver, and of the sender; for a peer
    kernel::MacAddress sender_mac{};

    bool operator==(const FlowWay&) const = default;
};

// Of CLOCK_MONOTONIC, in nanoseconds.
struct FlowTimes {
    std::uint64_t ordinary_at = 0; // the next packet from then on goes the ordinary way
    std::uint64_t until = 0;       // and all from then on
};

struct FlowDirection {
    FlowKey key{};
    FlowWay way{};
    FlowTimes times{};

    bool leads_like(const FlowDirection& that) const { return key == that.key && way == that.way; }
};

// Thread-safe.
class FlowTable {
  public:
    // For so many directions of each version of IP.
    static Result<FlowTable> create(std::uint32_t limit);

    // ResourceExhausted when it is full.
    Result<void> put(const FlowDirection& direction) const;
    // NotFound when there is none, as below: a program takes away what has ended.
    Result<void> replace(const FlowDirection& direction) const;
    Result<FlowTimes> times(const FlowKey& key) const;
    Result<void> remove(const FlowKey& key) const;

    const kernel::BpfHash& hash(kernel::IpFamily family) const {
        return family == kernel::IpFamily::V4 ? v4_ : v6_;
    }

  private:
    FlowTable(kernel::BpfHash v4, kernel::BpfHash v6)
        : v4_(std::move(v4))
        , v6_(std::move(v6)) {}

    kernel::BpfHash v4_;
    kernel::BpfHash v6_;
};

// As the hashes have it: addresses and ports in network order.
using Ipv4Word = std::uint32_t;
using Ipv6Words = std::array<std::uint32_t, 4>;

template <class Address>
struct FlowKeyRecord {
    std::uint32_t interface = 0;
    Address source{};
    Address destination{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
};

// Hashes look at each byte of a key.
static_assert(sizeof(FlowKeyRecord<Ipv4Word>) == 16 && sizeof(FlowKeyRecord<Ipv6Words>) == 40);

template <class Address>
struct FlowWayRecord {
    Address source{};
    Address destination{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint32_t interface = 0;
    std::uint16_t to_peer = 0;
    std::uint16_t mtu = 0;
    std::uint32_t passed_in = 0; // the last tick in which the times below let a packet pass
    Address next_hop{};
    // Of checksums, by RFC 1624: of both addresses, of both ports.
    std::uint32_t address_difference = 0;
    std::uint32_t port_difference = 0;
    std::array<std::uint8_t, 6> mac{};
    std::array<std::uint8_t, 6> sender_mac{};
    std::uint64_t ordinary_at = 0;
    std::uint64_t until = 0;
};

static_assert(sizeof(FlowWayRecord<Ipv4Word>) == 64); // a cache line

// What programs tell of: a key record of either version.
std::optional<FlowKey> parse_flow_key(std::span<const std::byte> record);

} // namespace berth::network
