// SPDX-License-Identifier: Apache-2.0
// What a rule does with a packet. Layouts: include/uapi/linux/netfilter/nf_tables.h.
#include "base/verify.h"
#include "kernel/nftables_registers.h"
#include "kernel/nftables_rule.h"

namespace berth::kernel {
namespace {

constexpr std::uint8_t tcp = 6; // IPPROTO_*, whose header does not go with linux/netfilter.h
constexpr std::uint8_t udp = 17;
constexpr std::uint32_t udp_checksum_offset = 6;
constexpr std::uint32_t tcp_checksum_offset = 16;

} // namespace

void NftRule::accept() {
    verdict(NF_ACCEPT, {});
}

void NftRule::drop() {
    verdict(NF_DROP, {});
}

void NftRule::reject() {
    begin_expression("reject");
    messages_.put_big_endian_u32(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
    messages_.put_u8(NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_PORT_UNREACH);
    end_expression();
}

void NftRule::jump(std::string_view chain) {
    verdict(NFT_JUMP, chain);
}

void NftRule::masquerade() {
    begin_expression("masq");
    end_expression();
}

void NftRule::return_to_caller() {
    verdict(NFT_RETURN, {});
}

void NftRule::dnat(IpFamily family, NftPortKey key, const std::string& map) {
    if_family(family);
    load_port_key(family, key);
    look_up(map, reg(0), reg(0));
    begin_expression("nat");
    messages_.put_big_endian_u32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    messages_.put_big_endian_u32(NFTA_NAT_FAMILY, protocol_family(family));
    messages_.put_big_endian_u32(NFTA_NAT_REG_ADDR_MIN, reg(0));
    messages_.put_big_endian_u32(NFTA_NAT_REG_PROTO_MIN, reg(place_of(family).size / 4));
    end_expression();
}

void NftRule::snat_by_input(IpFamily family, const std::string& map) {
    if_family(family);
    load_meta(NFT_META_IIFNAME, reg(0));
    look_up(map, reg(0), reg(0));
    begin_expression("nat");
    messages_.put_big_endian_u32(NFTA_NAT_TYPE, NFT_NAT_SNAT);
    messages_.put_big_endian_u32(NFTA_NAT_FAMILY, protocol_family(family));
    messages_.put_big_endian_u32(NFTA_NAT_REG_ADDR_MIN, reg(0));
    end_expression();
}

NftRule& NftRule::add_to_mark(std::uint32_t bit) {
    load_meta(NFT_META_MARK, reg(0));
    bitwise(reg(0), native_bytes(~bit), native_bytes(bit));
    store_mark(reg(0));
    return *this;
}

NftRule& NftRule::set_mark(std::uint32_t mark) {
    immediate(reg(0), native_bytes(mark));
    store_mark(reg(0));
    return *this;
}

NftRule& NftRule::duplicate_to(const IpAddress& neighbor, int interface) {
    immediate(reg(0), neighbor.bytes());
    immediate(reg(4), native_bytes(static_cast<std::uint32_t>(interface)));
    begin_expression("dup");
    messages_.put_big_endian_u32(NFTA_DUP_SREG_ADDR, reg(0));
    messages_.put_big_endian_u32(NFTA_DUP_SREG_DEV, reg(4));
    end_expression();
    return *this;
}

void NftRule::immediate(std::uint32_t target, std::span<const std::uint8_t> value) {
    begin_expression("immediate");
    messages_.put_big_endian_u32(NFTA_IMMEDIATE_DREG, target);
    put_value(NFTA_IMMEDIATE_DATA, value);
    end_expression();
}

void NftRule::set_source_port(std::uint8_t protocol, std::uint16_t port) {
    write_port(protocol, source_port_offset, port);
}

void NftRule::set_destination_port(std::uint8_t protocol, std::uint16_t port) {
    write_port(protocol, destination_port_offset, port);
}

void NftRule::store_mark(std::uint32_t source) {
    begin_expression("meta");
    messages_.put_big_endian_u32(NFTA_META_KEY, NFT_META_MARK);
    messages_.put_big_endian_u32(NFTA_META_SREG, source);
    end_expression();
}

void NftRule::write_port(std::uint8_t protocol, std::uint32_t offset, std::uint16_t port) {
    VERIFY(protocol == tcp || protocol == udp);
    immediate(reg(0), big_endian_bytes(port));
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

NftRule& NftRule::add_part_to(const NftFlowPart& part, const std::string& set) {
    load_flow_part(part);
    begin_addition(set);
    end_expression();
    return *this;
}

NftRule&
NftRule::if_part_has_more(const NftFlowPart& part, const std::string& set, std::uint32_t most) {
    load_flow_part(part);
    begin_addition(set);
    messages_.begin_nested(NFTA_DYNSET_EXPR);
    messages_.put_string(NFTA_EXPR_NAME, "connlimit");
    messages_.begin_nested(NFTA_EXPR_DATA);
    messages_.put_big_endian_u32(NFTA_CONNLIMIT_COUNT, most);
    messages_.put_big_endian_u32(NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
    messages_.end_nested();
    messages_.end_nested();
    end_expression();
    return *this;
}

void NftRule::begin_addition(const std::string& set) {
    begin_expression("dynset");
    messages_.put_string(NFTA_DYNSET_SET_NAME, set);
    messages_.put_big_endian_u32(NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD);
    messages_.put_big_endian_u32(NFTA_DYNSET_SREG_KEY, reg(0));
}

} // namespace berth::kernel
