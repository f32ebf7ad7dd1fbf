// SPDX-License-Identifier: Apache-2.0
// RFC 1624 for the differences of checksums.
#include "network/flow_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <arpa/inet.h>

namespace berth::network {
namespace {

using kernel::BpfHash;
using kernel::FlowTuple;
using kernel::IpAddress;
using kernel::struct_bytes;

// `body` gets an address as the records of that version have it, for its type.
template <class Body>
auto by_version(const FlowKey& key, Body body) {
    return key.packets.source.is_v4() ? body(Ipv4Word{}) : body(Ipv6Words{});
}

template <class Address>
Address words_of(const IpAddress& address) {
    Address words{};
    // What is of no use in this direction is left at IpAddress's default, an address of IPv4.
    std::memcpy(&words, address.bytes().data(), std::min(sizeof words, address.bytes().size()));
    return words;
}

template <class Address>
IpAddress address_of(const Address& words) {
    std::array<std::uint8_t, sizeof words> bytes{};
    std::memcpy(bytes.data(), &words, sizeof words);
    return IpAddress::from_bytes(bytes);
}

// Each 32 bits: the old ones' complement, and the new ones.
template <class Value>
std::uint64_t difference(const Value& from, const Value& to) {
    constexpr std::size_t word_bytes = sizeof(std::uint32_t);
    std::array<std::uint32_t, sizeof(Value) / word_bytes> old_words{};
    std::array<std::uint32_t, old_words.size()> new_words{};
    std::memcpy(old_words.data(), &from, sizeof from);
    std::memcpy(new_words.data(), &to, sizeof to);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < old_words.size(); ++i) {
        if (old_words[i] != new_words[i]) {
            sum += std::uint64_t{~old_words[i]} + new_words[i];
        }
    }
    return sum;
}

std::uint32_t folded(std::uint64_t sum) {
    while (sum > UINT32_MAX) {
        sum = (sum & UINT32_MAX) + (sum >> 32U);
    }
    return static_cast<std::uint32_t>(sum);
}

std::array<std::uint16_t, 2> ports_of(const FlowTuple& tuple) {
    return {htons(tuple.source_port), htons(tuple.destination_port)};
}

template <class Address>
FlowKeyRecord<Address> key_record(const FlowKey& key) {
    return {
        .interface = static_cast<std::uint32_t>(key.interface),
        .source = words_of<Address>(key.packets.source),
        .destination = words_of<Address>(key.packets.destination),
        .source_port = htons(key.packets.source_port),
        .destination_port = htons(key.packets.destination_port)};
}

template <class Address>
FlowWayRecord<Address> way_record(const FlowDirection& direction) {
    const FlowTuple& from = direction.key.packets;
    const FlowTuple& to = direction.way.packets;
    FlowWayRecord<Address> record{
        .source = words_of<Address>(to.source),
        .destination = words_of<Address>(to.destination),
        .source_port = htons(to.source_port),
        .destination_port = htons(to.destination_port),
        .interface = static_cast<std::uint32_t>(direction.way.interface),
        .to_peer = direction.way.to_peer ? std::uint16_t{1} : std::uint16_t{0},
        .mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(direction.way.mtu, UINT16_MAX)),
        .next_hop = words_of<Address>(direction.way.next_hop),
        .mac = direction.way.mac.bytes,
        .sender_mac = direction.way.sender_mac.bytes,
        .ordinary_at = direction.times.ordinary_at,
        .until = direction.times.until};
    record.address_difference = folded(
        difference(words_of<Address>(from.source), record.source) +
        difference(words_of<Address>(from.destination), record.destination));
    record.port_difference = folded(difference(ports_of(from), ports_of(to)));
    return record;
}

template <class Address>
FlowKey key_of(std::span<const std::byte> bytes) {
    FlowKeyRecord<Address> record;
    std::memcpy(&record, bytes.data(), sizeof record);
    return {
        .interface = static_cast<int>(record.interface),
        .packets = {
            .source = address_of(record.source),
            .destination = address_of(record.destination),
            .source_port = ntohs(record.source_port),
            .destination_port = ntohs(record.destination_port)}};
}

template <class Address>
Result<BpfHash> make_hash(std::string_view name, std::uint32_t limit) {
    return BpfHash::create(
        {.name = name,
         .key_size = sizeof(FlowKeyRecord<Address>),
         .value_size = sizeof(FlowWayRecord<Address>),
         .limit = limit});
}

} // namespace

Result<FlowTable> FlowTable::create(std::uint32_t limit) {
    BpfHash v4 = TRY(make_hash<Ipv4Word>("berth_flows", limit));
    BpfHash v6 = TRY(make_hash<Ipv6Words>("berth_flows_v6", limit));
    return FlowTable(std::move(v4), std::move(v6));
}

Result<void> FlowTable::put(const FlowDirection& direction) const {
    return by_version(direction.key, [&](auto address) {
        using Address = decltype(address);
        const auto key = key_record<Address>(direction.key);
        const auto way = way_record<Address>(direction);
        return hash(direction.key.packets.source.family())
            .put(struct_bytes(key), struct_bytes(way));
    });
}

Result<void> FlowTable::replace(const FlowDirection& direction) const {
    return by_version(direction.key, [&](auto address) {
        using Address = decltype(address);
        const auto key = key_record<Address>(direction.key);
        const auto way = way_record<Address>(direction);
        return hash(direction.key.packets.source.family())
            .replace(struct_bytes(key), struct_bytes(way));
    });
}

Result<FlowTimes> FlowTable::times(const FlowKey& key) const {
    return by_version(key, [&](auto address) -> Result<FlowTimes> {
        using Address = decltype(address);
        const auto record = key_record<Address>(key);
        FlowWayRecord<Address> way;
        TRY(hash(key.packets.source.family())
                .get(struct_bytes(record), std::as_writable_bytes(std::span(&way, 1))));
        return FlowTimes{.ordinary_at = way.ordinary_at, .until = way.until};
    });
}

Result<void> FlowTable::remove(const FlowKey& key) const {
    return by_version(key, [&](auto address) {
        const auto record = key_record<decltype(address)>(key);
        return hash(key.packets.source.family()).remove(struct_bytes(record));
    });
}

std::optional<FlowKey> parse_flow_key(std::span<const std::byte> record) {
    if (record.size() == sizeof(FlowKeyRecord<Ipv4Word>)) {
        return key_of<Ipv4Word>(record);
    }
    if (record.size() == sizeof(FlowKeyRecord<Ipv6Words>)) {
        return key_of<Ipv6Words>(record);
    }
    return std::nullopt;
}

} // namespace berth::network
