// SPDX-License-Identifier: Apache-2.0
// One nf_tables rule, written expression by expression into the batch that made it: matches first,
// then one action.
#pragma once

#include "kernel/netlink_address.h"
#include "kernel/netlink_message.h"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace berth::kernel {

// How the map that a dnat action asks is keyed.
enum class NftPortKey : std::uint8_t {
    ProtocolAndPort,        // l4proto . dport
    AddressProtocolAndPort, // daddr . l4proto . dport
};

// A source's flows, dealt out by their other end and their ports: saddr . number of the part. For
// IPv4 or IPv6 as the rule has asked before.
struct NftFlowPart {
    IpFamily family = IpFamily::V4;
    std::uint32_t parts = 1;
};

class NftRule {
  public:
    // The batch must outlive the rule; its current message is the rule's.
    explicit NftRule(NetlinkBatch& messages);
    NftRule(const NftRule&) = delete;
    NftRule& operator=(const NftRule&) = delete;
    ~NftRule();

    NftRule& if_established();                    // ct state established,related
    NftRule& if_new();                            // ct state new
    NftRule& if_destination_changed();            // ct status dnat
    NftRule& if_destination_is_local();           // fib daddr type local
    NftRule& if_destination_is_not_of_the_link(); // fib daddr . iif type != local
    NftRule& if_family(IpFamily family);          // in a table of the family inet
    NftRule& if_protocol(std::uint8_t number);    // meta l4proto
    NftRule& if_protocol_is_not(std::uint8_t number);
    NftRule& if_mark_is(std::uint32_t mark, std::uint32_t bits = UINT32_MAX);
    NftRule& if_mark_has(std::uint32_t bit);
    // The first byte behind the IP header: ICMP's type. After if_protocol().
    NftRule& if_icmp_type(std::uint8_t type);
    // Of the prefix's family only.
    NftRule& if_source_in(const IpPrefix& prefix);
    NftRule& if_destination_in(const IpPrefix& prefix);
    NftRule& if_input_is(std::string_view interface);
    NftRule& if_input_is_not(std::string_view interface);
    NftRule& if_input_in(const std::string& set);
    NftRule& if_input_not_in(const std::string& set);
    NftRule& if_output_in(const std::string& set);
    NftRule& if_source_port(std::uint16_t port); // after if_protocol()
    NftRule& if_destination_port(std::uint16_t port);
    NftRule& if_input_and_output_in(const std::string& set);                   // iifname . oifname
    NftRule& if_source_and_output_in(IpFamily family, const std::string& set); // saddr . oifname
    NftRule& if_destination_and_output_in(IpFamily family, const std::string& set);
    NftRule& if_source_in_addresses(IpFamily family, const std::string& set);
    NftRule& if_part_in(const NftFlowPart& part, const std::string& set);
    // daddr . l4proto . dport
    NftRule& if_destination_port_in(IpFamily family, const std::string& set);
    // saddr . daddr . l4proto . dport
    NftRule& if_flow_in(IpFamily family, const std::string& set);
    // The key is in the map; what it maps to does not matter.
    NftRule& if_published_in(IpFamily family, NftPortKey key, const std::string& map);

    // In a table of the families bridge and netdev.
    NftRule& if_ether_type(std::uint16_t type);
    // iifname . ether saddr . <bytes of the packet> is in the set, or is not: a source that is the
    // port's own, or not. `base` is NFT_PAYLOAD_*.
    NftRule& if_source_in_set(
        const std::string& set, std::uint32_t base, std::uint32_t offset, std::uint32_t size);
    NftRule& if_source_not_in(
        const std::string& set, std::uint32_t base, std::uint32_t offset, std::uint32_t size);
    // iifname . <MAC within the network header> is not in the set.
    NftRule& if_sender_not_in(const std::string& set, std::uint32_t offset);
    NftRule&
    if_bytes_are(std::uint32_t base, std::uint32_t offset, std::span<const std::uint8_t> bytes);
    NftRule&
    if_bytes_are_not(std::uint32_t base, std::uint32_t offset, std::span<const std::uint8_t> bytes);

    void accept();
    void drop();
    void reject(); // port unreachable, of either family: "connection refused" for who asks
    void jump(std::string_view chain);
    void return_to_caller();
    void masquerade();
    // To the address . port that the map has; the rule ends without effect when it has none.
    // Writes into the packet itself, without connection tracking. REQUIRES: IPPROTO_TCP or _UDP,
    // the one that the rule has matched.
    void set_source_port(std::uint8_t protocol, std::uint16_t port);
    void set_destination_port(std::uint8_t protocol, std::uint16_t port);
    void dnat(IpFamily family, NftPortKey key, const std::string& map);
    // From the address that the map has for the input interface.
    void snat_by_input(IpFamily family, const std::string& map);
    // These go on: an action may follow.
    // The part is found in the set, or becomes an element of it.
    NftRule& add_part_to(const NftFlowPart& part, const std::string& set);
    // The same; goes on when more than `most` tracked connections of the part are not closed. The
    // one that is asked for counts.
    NftRule& if_part_has_more(const NftFlowPart& part, const std::string& set, std::uint32_t most);
    NftRule& add_to_mark(std::uint32_t bit);
    NftRule& set_mark(std::uint32_t mark);
    // A copy of the packet leaves by the interface (its index), towards the neighbor. In a table of
    // the neighbor's family only.
    NftRule& duplicate_to(const IpAddress& neighbor, int interface);

  private:
    void match_family(IpFamily family); // unless the type of the frame says it
    void address_and_output_in(IpFamily family, std::uint32_t offset, const std::string& set);
    void load_port_key(IpFamily family, NftPortKey key, std::uint32_t next = 0);
    void load_type_of_destination(std::uint32_t flags);
    void load_flow_part(const NftFlowPart& part);
    void begin_addition(const std::string& set);
    void load_port_and_source(std::uint32_t base, std::uint32_t offset, std::uint32_t size);
    void immediate(std::uint32_t reg, std::span<const std::uint8_t> value);
    void not_in(const std::string& set, std::uint32_t reg);
    void begin_expression(std::string_view name);
    void end_expression();
    void load_meta(std::uint32_t key, std::uint32_t reg);
    void load_connection(std::uint32_t key, std::uint32_t reg);
    void
    load_payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size, std::uint32_t reg);
    void mask(std::uint32_t reg, std::span<const std::uint8_t> bits);
    // reg & bits ^ flipped
    void bitwise(
        std::uint32_t reg,
        std::span<const std::uint8_t> bits,
        std::span<const std::uint8_t> flipped);
    void store_mark(std::uint32_t reg);
    void compare(std::uint32_t reg, std::uint32_t operation, std::span<const std::uint8_t> value);
    void any_bit_of(std::uint32_t reg, std::uint32_t bits);
    void lookup(const std::string& set, std::uint32_t reg);
    // What the map has goes to the other register.
    void look_up(const std::string& map, std::uint32_t reg, std::uint32_t target);
    void address_in(std::uint32_t offset, const IpPrefix& prefix);
    void port_is(std::uint32_t offset, std::uint16_t port);
    void write_port(std::uint8_t protocol, std::uint32_t offset, std::uint16_t port);
    void input(std::uint32_t operation, std::string_view name);
    void verdict(std::int32_t code, std::string_view chain);
    void put_value(std::uint16_t attribute, std::span<const std::uint8_t> value);

    NetlinkBatch& messages_;
    bool has_ether_type_ = false; // families bridge and netdev, where meta nfproto is none of IP's
};

} // namespace berth::kernel
