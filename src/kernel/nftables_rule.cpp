// SPDX-License-Identifier: Apache-2.0
// nf_tables expressions. Layouts: include/uapi/linux/netfilter/nf_tables.h. Numbers in attributes
// are big-endian; values in registers are as the packet or the kernel has them.
#include "kernel/nftables_rule.h"

#include "base/verify.h"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstring>

namespace berth::kernel {
namespace {

constexpr std::uint32_t source_offset = 12; // in the IPv4 header
constexpr std::uint32_t destination_offset = 16;
constexpr std::uint32_t source_port_offset = 0; // in the TCP and UDP headers
constexpr std::uint32_t destination_port_offset = 2;
constexpr std::uint8_t tcp = 6; // IPPROTO_*, whose header does not go with linux/netfilter.h
constexpr std::uint8_t udp = 17;
constexpr std::uint32_t udp_checksum_offset = 6;
constexpr std::uint32_t tcp_checksum_offset = 16;

// Registers of four bytes; a longer value runs over the next ones.
constexpr std::uint32_t reg(std::uint32_t number) {
    return NFT_REG32_00 + number;
}

std::array<std::uint8_t, 4> native_bytes(std::uint32_t number) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &number, bytes.size());
    return bytes;
}

std::array<std::uint8_t, 2> big_endian_bytes(std::uint16_t number) {
    return {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number & 0xff)};
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

NftRule& NftRule::if_destination_is_local() {
    begin_expression("fib");
    messages_.put_big_endian_u32(NFTA_FIB_DREG, reg(0));
    messages_.put_big_endian_u32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    messages_.put_big_endian_u32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    end_expression();
    compare(reg(0), NFT_CMP_EQ, native_bytes(RTN_LOCAL));
    return *this;
}

NftRule& NftRule::if_source_in(const IpPrefix& prefix) {
    address_in(source_offset, prefix);
    return *this;
}

NftRule& NftRule::if_destination_in(const IpPrefix& prefix) {
    address_in(destination_offset, prefix);
    return *this;
}

NftRule& NftRule::if_output_is(std::string_view name) {
    interface(NFT_META_OIFNAME, NFT_CMP_EQ, name);
    return *this;
}

NftRule& NftRule::if_output_is_not(std::string_view name) {
    interface(NFT_META_OIFNAME, NFT_CMP_NEQ, name);
    return *this;
}

NftRule& NftRule::if_input_in(const std::string& set) {
    load_meta(NFT_META_IIFNAME, reg(0));
    lookup(set, reg(0));
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

NftRule& NftRule::if_ipv4() {
    load_meta(NFT_META_PROTOCOL, reg(0));
    compare(reg(0), NFT_CMP_EQ, big_endian_bytes(ETH_P_IP));
    return *this;
}

NftRule& NftRule::if_protocol(std::uint8_t number) {
    load_meta(NFT_META_L4PROTO, reg(0));
    compare(reg(0), NFT_CMP_EQ, {&number, 1});
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

void NftRule::accept() {
    verdict(NF_ACCEPT, {});
}

void NftRule::drop() {
    verdict(NF_DROP, {});
}

void NftRule::jump(std::string_view chain) {
    verdict(NFT_JUMP, chain);
}

void NftRule::masquerade() {
    begin_expression("masq");
    end_expression();
}

void NftRule::dnat(NftPortKey key, const std::string& map) {
    std::uint32_t next = 0;
    if (key == NftPortKey::AddressProtocolAndPort) {
        load_payload(NFT_PAYLOAD_NETWORK_HEADER, destination_offset, 4, reg(next++));
    }
    load_meta(NFT_META_L4PROTO, reg(next++));
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, destination_port_offset, 2, reg(next));
    begin_expression("lookup");
    messages_.put_big_endian_u32(NFTA_LOOKUP_SREG, reg(0));
    messages_.put_big_endian_u32(NFTA_LOOKUP_DREG, reg(0));
    messages_.put_string(NFTA_LOOKUP_SET, map);
    end_expression();
    begin_expression("nat");
    messages_.put_big_endian_u32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    messages_.put_big_endian_u32(NFTA_NAT_FAMILY, NFPROTO_IPV4);
    messages_.put_big_endian_u32(NFTA_NAT_REG_ADDR_MIN, reg(0));
    messages_.put_big_endian_u32(NFTA_NAT_REG_PROTO_MIN, reg(1));
    end_expression();
}

void NftRule::set_source_port(std::uint8_t protocol, std::uint16_t port) {
    write_port(protocol, source_port_offset, port);
}

void NftRule::set_destination_port(std::uint8_t protocol, std::uint16_t port) {
    write_port(protocol, destination_port_offset, port);
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
    begin_expression("bitwise");
    messages_.put_big_endian_u32(NFTA_BITWISE_SREG, source);
    messages_.put_big_endian_u32(NFTA_BITWISE_DREG, source);
    messages_.put_big_endian_u32(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(bits.size()));
    put_value(NFTA_BITWISE_MASK, bits);
    put_value(NFTA_BITWISE_XOR, std::span(zero).first(bits.size()));
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

void NftRule::address_in(std::uint32_t offset, const IpPrefix& prefix) {
    VERIFY(prefix.address.is_v4());
    const IpPrefix network = prefix.network();
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, 4, reg(0));
    if (prefix.length < 32) {
        const IpAddress netmask =
            IpAddress::from_v4(prefix.length == 0 ? 0U : 0xffffffffU << (32 - prefix.length));
        mask(reg(0), netmask.bytes());
    }
    compare(reg(0), NFT_CMP_EQ, network.address.bytes());
}

void NftRule::port_is(std::uint32_t offset, std::uint16_t port) {
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2, reg(0));
    compare(reg(0), NFT_CMP_EQ, big_endian_bytes(port));
}

void NftRule::write_port(std::uint8_t protocol, std::uint32_t offset, std::uint16_t port) {
    VERIFY(protocol == tcp || protocol == udp);
    begin_expression("immediate");
    messages_.put_big_endian_u32(NFTA_IMMEDIATE_DREG, reg(0));
    put_value(NFTA_IMMEDIATE_DATA, big_endian_bytes(port));
    end_expression();
    begin_expression("payload");
    messages_.put_big_endian_u32(NFTA_PAYLOAD_SREG, reg(0));
    messages_.put_big_endian_u32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    messages_.put_big_endian_u32(NFTA_PAYLOAD_OFFSET, offset);
    messages_.put_big_endian_u32(NFTA_PAYLOAD_LEN, 2);
    messages_.put_big_endian_u32(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    messages_.put_big_endian_u32(
        NFTA_PAYLOAD_CSUM_OFFSET, protocol == tcp ? tcp_checksum_offset : udp_checksum_offset);
    end_expression();
}

void NftRule::interface(std::uint32_t key, std::uint32_t operation, std::string_view name) {
    std::array<std::uint8_t, 16> padded{};
    VERIFY(name.size() < padded.size());
    std::memcpy(padded.data(), name.data(), name.size());
    load_meta(key, reg(0));
    compare(reg(0), operation, padded);
}

void NftRule::verdict(std::int32_t code, std::string_view chain) {
    begin_expression("immediate");
    messages_.put_big_endian_u32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    messages_.begin_nested(NFTA_IMMEDIATE_DATA);
    messages_.begin_nested(NFTA_DATA_VERDICT);
    messages_.put_big_endian_u32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
    if (!chain.empty()) {
        messages_.put_string(NFTA_VERDICT_CHAIN, chain);
    }
    messages_.end_nested();
    messages_.end_nested();
    end_expression();
}

void NftRule::put_value(std::uint16_t attribute, std::span<const std::uint8_t> value) {
    messages_.begin_nested(attribute);
    messages_.put_bytes(NFTA_DATA_VALUE, value);
    messages_.end_nested();
}

} // namespace berth::kernel
