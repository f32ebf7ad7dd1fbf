// SPDX-License-Identifier: Apache-2.0
// What a rule matches: nf_tables expressions. Layouts: include/uapi/linux/netfilter/nf_tables.h.
// Numbers in attributes are big-endian; values in registers are as the packet or the kernel has
// them.
#include "kernel/nftables_rule.h"

#include "base/verify.h"
#include "kernel/nftables_registers.h"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstring>

namespace berth::kernel {
namespace {

constexpr std::uint32_t ether_source_offset = 6;
constexpr std::uint32_t hash_seed = 0x62657274;

std::array<std::uint8_t, 16> mask_of(std::uint8_t prefix_length) {
    std::array<std::uint8_t, 16> bits{};
    for (std::size_t i = 0; i < prefix_length; ++i) {
        bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 0x80U >> (i % 8));
    }
    return bits;
}

} // namespace

NftRule::NftRule(NetlinkBatch& messages)
    : messages_(messages) {
    messages_.begin_nested(NFTA_RULE_EXPRESSIONS);
}

NftRule::~NftRule() {
    messages_.end_nested();
}

NftRule& NftRule::if_established() {
    load_connection(NFT_CT_STATE, reg(0));
    any_bit_of(reg(0), NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
    return *this;
}

NftRule& NftRule::if_destination_changed() {
    load_connection(NFT_CT_STATUS, reg(0));
    any_bit_of(reg(0), IPS_DST_NAT);
    return *this;
}

NftRule& NftRule::if_new() {
    load_connection(NFT_CT_STATE, reg(0));
    any_bit_of(reg(0), NF_CT_STATE_BIT(IP_CT_NEW));
    return *this;
}

NftRule& NftRule::if_destination_is_local() {
    load_type_of_destination(NFTA_FIB_F_DADDR);
    compare(reg(0), NFT_CMP_EQ, native_bytes(RTN_LOCAL));
    return *this;
}

NftRule& NftRule::if_destination_is_not_of_the_link() {
    load_type_of_destination(NFTA_FIB_F_DADDR);
    compare(reg(0), NFT_CMP_EQ, native_bytes(RTN_LOCAL));
    load_type_of_destination(NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF);
    compare(reg(0), NFT_CMP_NEQ, native_bytes(RTN_LOCAL));
    return *this;
}

NftRule& NftRule::if_family(IpFamily family) {
    load_meta(NFT_META_NFPROTO, reg(0));
    compare(reg(0), NFT_CMP_EQ, std::array{protocol_family(family)});
    return *this;
}

NftRule& NftRule::if_protocol(std::uint8_t number) {
    load_meta(NFT_META_L4PROTO, reg(0));
    compare(reg(0), NFT_CMP_EQ, std::array{number});
    return *this;
}

NftRule& NftRule::if_protocol_is_not(std::uint8_t number) {
    load_meta(NFT_META_L4PROTO, reg(0));
    compare(reg(0), NFT_CMP_NEQ, std::array{number});
    return *this;
}

NftRule& NftRule::if_mark_is(std::uint32_t mark, std::uint32_t bits) {
    load_meta(NFT_META_MARK, reg(0));
    if (bits != UINT32_MAX) {
        mask(reg(0), native_bytes(bits));
    }
    compare(reg(0), NFT_CMP_EQ, native_bytes(mark));
    return *this;
}

NftRule& NftRule::if_mark_has(std::uint32_t bit) {
    load_meta(NFT_META_MARK, reg(0));
    mask(reg(0), native_bytes(bit));
    compare(reg(0), NFT_CMP_EQ, native_bytes(bit));
    return *this;
}

NftRule& NftRule::if_icmp_type(std::uint8_t type) {
    return if_bytes_are(NFT_PAYLOAD_TRANSPORT_HEADER, 0, std::array{type});
}

void NftRule::match_family(IpFamily family) {
    if (!has_ether_type_) {
        if_family(family);
    }
}

NftRule& NftRule::if_source_in(const IpPrefix& prefix) {
    match_family(prefix.address.family());
    address_in(place_of(prefix.address.family()).source, prefix);
    return *this;
}

NftRule& NftRule::if_destination_in(const IpPrefix& prefix) {
    match_family(prefix.address.family());
    address_in(place_of(prefix.address.family()).destination, prefix);
    return *this;
}

NftRule& NftRule::if_input_is(std::string_view name) {
    input(NFT_CMP_EQ, name);
    return *this;
}

NftRule& NftRule::if_input_is_not(std::string_view name) {
    input(NFT_CMP_NEQ, name);
    return *this;
}

NftRule& NftRule::if_input_in(const std::string& set) {
    load_meta(NFT_META_IIFNAME, reg(0));
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_input_not_in(const std::string& set) {
    load_meta(NFT_META_IIFNAME, reg(0));
    not_in(set, reg(0));
    return *this;
}

NftRule& NftRule::if_output_in(const std::string& set) {
    load_meta(NFT_META_OIFNAME, reg(0));
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_input_and_output_in(const std::string& set) {
    load_meta(NFT_META_IIFNAME, reg(0));
    load_meta(NFT_META_OIFNAME, reg(4));
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_source_in_addresses(IpFamily family, const std::string& set) {
    const AddressPlace place = place_of(family);
    if_family(family);
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, place.source, place.size, reg(0));
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_part_in(const NftFlowPart& part, const std::string& set) {
    load_flow_part(part);
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_source_port(std::uint16_t port) {
    port_is(source_port_offset, port);
    return *this;
}

NftRule& NftRule::if_destination_port(std::uint16_t port) {
    port_is(destination_port_offset, port);
    return *this;
}

NftRule& NftRule::if_source_and_output_in(IpFamily family, const std::string& set) {
    address_and_output_in(family, place_of(family).source, set);
    return *this;
}

NftRule& NftRule::if_destination_and_output_in(IpFamily family, const std::string& set) {
    address_and_output_in(family, place_of(family).destination, set);
    return *this;
}

NftRule& NftRule::if_destination_port_in(IpFamily family, const std::string& set) {
    if_family(family);
    load_port_key(family, NftPortKey::AddressProtocolAndPort);
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_flow_in(IpFamily family, const std::string& set) {
    const AddressPlace place = place_of(family);
    if_family(family);
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, place.source, place.size, reg(0));
    load_port_key(family, NftPortKey::AddressProtocolAndPort, place.size / 4);
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_published_in(IpFamily family, NftPortKey key, const std::string& map) {
    if_family(family);
    load_port_key(family, key);
    look_up(map, reg(0), reg(8)); // a map wants one
    return *this;
}

NftRule& NftRule::if_ether_type(std::uint16_t type) {
    load_meta(NFT_META_PROTOCOL, reg(0));
    compare(reg(0), NFT_CMP_EQ, big_endian_bytes(type));
    has_ether_type_ = true;
    return *this;
}

NftRule& NftRule::if_source_in_set(
    const std::string& set, std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
    load_port_and_source(base, offset, size);
    lookup(set, reg(0));
    return *this;
}

NftRule& NftRule::if_source_not_in(
    const std::string& set, std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
    load_port_and_source(base, offset, size);
    not_in(set, reg(0));
    return *this;
}

NftRule& NftRule::if_sender_not_in(const std::string& set, std::uint32_t offset) {
    load_meta(NFT_META_IIFNAME, reg(0));
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, 6, reg(4));
    not_in(set, reg(0));
    return *this;
}

NftRule& NftRule::if_bytes_are(
    std::uint32_t base, std::uint32_t offset, std::span<const std::uint8_t> bytes) {
    load_payload(base, offset, static_cast<std::uint32_t>(bytes.size()), reg(0));
    compare(reg(0), NFT_CMP_EQ, bytes);
    return *this;
}

NftRule& NftRule::if_bytes_are_not(
    std::uint32_t base, std::uint32_t offset, std::span<const std::uint8_t> bytes) {
    load_payload(base, offset, static_cast<std::uint32_t>(bytes.size()), reg(0));
    compare(reg(0), NFT_CMP_NEQ, bytes);
    return *this;
}

void NftRule::address_and_output_in(IpFamily family, std::uint32_t offset, const std::string& set) {
    const std::uint32_t size = place_of(family).size;
    if_family(family);
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, size, reg(0));
    load_meta(NFT_META_OIFNAME, reg(size / 4));
    lookup(set, reg(0));
}

// daddr . l4proto . dport, or the last two, from this register on.
void NftRule::load_port_key(IpFamily family, NftPortKey key, std::uint32_t next) {
    const AddressPlace place = place_of(family);
    if (key == NftPortKey::AddressProtocolAndPort) {
        load_payload(NFT_PAYLOAD_NETWORK_HEADER, place.destination, place.size, reg(next));
        next += place.size / 4;
    }
    load_meta(NFT_META_L4PROTO, reg(next));
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, destination_port_offset, 2, reg(next + 1));
}

void NftRule::load_type_of_destination(std::uint32_t flags) {
    begin_expression("fib");
    messages_.put_big_endian_u32(NFTA_FIB_DREG, reg(0));
    messages_.put_big_endian_u32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    messages_.put_big_endian_u32(NFTA_FIB_FLAGS, flags);
    end_expression();
}

void NftRule::load_flow_part(const NftFlowPart& part) {
    const AddressPlace place = place_of(part.family);
    const std::uint32_t number = reg(place.size / 4);
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, place.source, place.size, reg(0));
    if (part.parts <= 1) {
        immediate(number, native_bytes(0));
        return;
    }
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, place.destination, place.size, reg(8));
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4, reg(8 + place.size / 4)); // both ports
    begin_expression("hash");
    messages_.put_big_endian_u32(NFTA_HASH_TYPE, NFT_HASH_JENKINS);
    messages_.put_big_endian_u32(NFTA_HASH_SREG, reg(8));
    messages_.put_big_endian_u32(NFTA_HASH_DREG, number);
    messages_.put_big_endian_u32(NFTA_HASH_LEN, place.size + 4);
    messages_.put_big_endian_u32(NFTA_HASH_MODULUS, part.parts);
    // The same one in all rules. Who picks his flows by it fills one part, which is his own.
    messages_.put_big_endian_u32(NFTA_HASH_SEED, hash_seed);
    end_expression();
}

void NftRule::load_port_and_source(std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
    load_meta(NFT_META_IIFNAME, reg(0));
    load_payload(NFT_PAYLOAD_LL_HEADER, ether_source_offset, 6, reg(4));
    if (size != 0) {
        load_payload(base, offset, size, reg(6));
    }
}

void NftRule::begin_expression(std::string_view name) {
    messages_.begin_nested(NFTA_LIST_ELEM);
    messages_.put_string(NFTA_EXPR_NAME, name);
    messages_.begin_nested(NFTA_EXPR_DATA);
}

void NftRule::end_expression() {
    messages_.end_nested();
    messages_.end_nested();
}

void NftRule::load_meta(std::uint32_t key, std::uint32_t target) {
    begin_expression("meta");
    messages_.put_big_endian_u32(NFTA_META_KEY, key);
    messages_.put_big_endian_u32(NFTA_META_DREG, target);
    end_expression();
}

void NftRule::load_connection(std::uint32_t key, std::uint32_t target) {
    begin_expression("ct");
    messages_.put_big_endian_u32(NFTA_CT_KEY, key);
    messages_.put_big_endian_u32(NFTA_CT_DREG, target);
    end_expression();
}

void NftRule::load_payload(
    std::uint32_t base, std::uint32_t offset, std::uint32_t size, std::uint32_t target) {
    begin_expression("payload");
    messages_.put_big_endian_u32(NFTA_PAYLOAD_DREG, target);
    messages_.put_big_endian_u32(NFTA_PAYLOAD_BASE, base);
    messages_.put_big_endian_u32(NFTA_PAYLOAD_OFFSET, offset);
    messages_.put_big_endian_u32(NFTA_PAYLOAD_LEN, size);
    end_expression();
}

void NftRule::mask(std::uint32_t source, std::span<const std::uint8_t> bits) {
    const std::array<std::uint8_t, 16> zero{};
    VERIFY(bits.size() <= zero.size());
    bitwise(source, bits, std::span(zero).first(bits.size()));
}

void NftRule::bitwise(
    std::uint32_t source,
    std::span<const std::uint8_t> bits,
    std::span<const std::uint8_t> flipped) {
    begin_expression("bitwise");
    messages_.put_big_endian_u32(NFTA_BITWISE_SREG, source);
    messages_.put_big_endian_u32(NFTA_BITWISE_DREG, source);
    messages_.put_big_endian_u32(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(bits.size()));
    put_value(NFTA_BITWISE_MASK, bits);
    put_value(NFTA_BITWISE_XOR, flipped);
    end_expression();
}

void NftRule::compare(
    std::uint32_t source, std::uint32_t operation, std::span<const std::uint8_t> value) {
    begin_expression("cmp");
    messages_.put_big_endian_u32(NFTA_CMP_SREG, source);
    messages_.put_big_endian_u32(NFTA_CMP_OP, operation);
    put_value(NFTA_CMP_DATA, value);
    end_expression();
}

void NftRule::any_bit_of(std::uint32_t source, std::uint32_t bits) {
    mask(source, native_bytes(bits));
    compare(source, NFT_CMP_NEQ, native_bytes(0));
}

void NftRule::lookup(const std::string& set, std::uint32_t source) {
    begin_expression("lookup");
    messages_.put_big_endian_u32(NFTA_LOOKUP_SREG, source);
    messages_.put_string(NFTA_LOOKUP_SET, set);
    end_expression();
}

void NftRule::look_up(const std::string& map, std::uint32_t source, std::uint32_t target) {
    begin_expression("lookup");
    messages_.put_big_endian_u32(NFTA_LOOKUP_SREG, source);
    messages_.put_big_endian_u32(NFTA_LOOKUP_DREG, target);
    messages_.put_string(NFTA_LOOKUP_SET, map);
    end_expression();
}

void NftRule::not_in(const std::string& set, std::uint32_t source) {
    begin_expression("lookup");
    messages_.put_big_endian_u32(NFTA_LOOKUP_SREG, source);
    messages_.put_string(NFTA_LOOKUP_SET, set);
    messages_.put_big_endian_u32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    end_expression();
}

void NftRule::address_in(std::uint32_t offset, const IpPrefix& prefix) {
    const IpPrefix network = prefix.network();
    const std::size_t size = network.address.bytes().size();
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, static_cast<std::uint32_t>(size), reg(0));
    if (prefix.length < size * 8) {
        const std::array<std::uint8_t, 16> bits = mask_of(prefix.length);
        mask(reg(0), std::span(bits).first(size));
    }
    compare(reg(0), NFT_CMP_EQ, network.address.bytes());
}

void NftRule::port_is(std::uint32_t offset, std::uint16_t port) {
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2, reg(0));
    compare(reg(0), NFT_CMP_EQ, big_endian_bytes(port));
}

void NftRule::input(std::uint32_t operation, std::string_view name) {
    std::array<std::uint8_t, 16> padded{};
    VERIFY(name.size() < padded.size());
    std::memcpy(padded.data(), name.data(), name.size());
    load_meta(NFT_META_IIFNAME, reg(0));
    compare(reg(0), operation, padded);
}

void NftRule::put_value(std::uint16_t attribute, std::span<const std::uint8_t> value) {
    messages_.begin_nested(attribute);
    messages_.put_bytes(NFTA_DATA_VALUE, value);
    messages_.end_nested();
}

} // namespace berth::kernel
