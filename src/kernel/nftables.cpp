// SPDX-License-Identifier: Apache-2.0
// nf_tables transactions. Layouts: include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h.
#include "kernel/nftables.h"

#include "base/verify.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>

#include <endian.h>

namespace berth::kernel {
namespace {

// A list of elements is one attribute, whose length is a 16-bit number.
constexpr std::size_t elements_per_message = 256;
constexpr std::uint32_t largest_packet = 1U << 16;
constexpr std::size_t type_bits = 6; // in nft's number of a concatenated type

// A note for nft(8), which prints an interface's name backwards without it: attribute 0 (the key's
// byte order) of four bytes, 1 (the host's).
constexpr std::array<std::uint8_t, 6> host_byte_order_key{0, 4, 1, 0, 0, 0};

nfgenmsg header_for(std::uint8_t family, std::uint16_t resource) {
    return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htobe16(resource)};
}

std::uint32_t size_of(NftType type) {
    switch (type) {
    case NftType::Ipv4Address:
    case NftType::Mark:
        return 4;
    case NftType::Ipv6Address:
        return 16;
    case NftType::EtherAddress:
        return 6;
    case NftType::Protocol:
        return 1;
    case NftType::Port:
        return 2;
    case NftType::InterfaceName:
        return 16;
    }
    VERIFY(false);
}

struct TypeAndSize {
    std::uint32_t type = 0;
    std::uint32_t size = 0;
};

TypeAndSize concatenate(const std::vector<NftType>& parts) {
    TypeAndSize sum;
    for (const NftType part : parts) {
        sum.type = sum.type << type_bits | static_cast<std::uint32_t>(part);
        sum.size += (size_of(part) + 3) / 4 * 4;
    }
    return parts.size() == 1 ? TypeAndSize{sum.type, size_of(parts[0])} : sum;
}

void put_rate(NetlinkBatch& messages, std::uint64_t bytes_per_second) {
    messages.begin_nested(NFTA_SET_ELEM_EXPR);
    messages.put_string(NFTA_EXPR_NAME, "limit");
    messages.begin_nested(NFTA_EXPR_DATA);
    messages.put_big_endian_u64(NFTA_LIMIT_RATE, bytes_per_second);
    messages.put_big_endian_u64(NFTA_LIMIT_UNIT, 1);
    // The bucket holds a second's worth, and one packet of the largest size.
    messages.put_big_endian_u32(NFTA_LIMIT_BURST, largest_packet);
    messages.put_big_endian_u32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKT_BYTES);
    messages.put_big_endian_u32(NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
    messages.end_nested();
    messages.end_nested();
}

std::optional<std::uint32_t> big_endian_u32_of(const nlattr& attribute) {
    if (mnl_attr_get_payload_len(&attribute) != sizeof(std::uint32_t)) {
        return std::nullopt;
    }
    return be32toh(mnl_attr_get_u32(&attribute));
}

} // namespace

NftValue& NftValue::address(const IpAddress& address) {
    append(address.bytes());
    return *this;
}

NftValue& NftValue::ether_address(const MacAddress& address) {
    append(address.bytes);
    return *this;
}

NftValue& NftValue::protocol(std::uint8_t number) {
    append({&number, 1});
    return *this;
}

NftValue& NftValue::port(std::uint16_t number) {
    const std::array<std::uint8_t, 2> bytes{
        static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number & 0xff)};
    append(bytes);
    return *this;
}

NftValue& NftValue::interface(std::string_view name) {
    std::array<std::uint8_t, 16> padded{};
    VERIFY(name.size() < padded.size());
    std::copy(name.begin(), name.end(), padded.begin());
    append(padded);
    return *this;
}

void NftValue::append(std::span<const std::uint8_t> part) {
    bytes_.insert(bytes_.end(), part.begin(), part.end());
    bytes_.resize((bytes_.size() + 3) / 4 * 4);
}

NftBatch::NftBatch(std::string table, NftFamily family)
    : table_(std::move(table))
    , family_(family) {
    messages_.begin(
        NFNL_MSG_BATCH_BEGIN,
        0,
        struct_bytes(header_for(AF_UNSPEC, NFNL_SUBSYS_NFTABLES)),
        "change table " + table_);
}

void NftBatch::begin(std::uint16_t message, std::uint16_t flags, const std::string& description) {
    messages_.begin(
        nft_message(message),
        flags,
        struct_bytes(header_for(static_cast<std::uint8_t>(family_), 0)),
        "nf_tables: " + description + " (table " + table_ + ")");
}

void NftBatch::add_table() {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, "add table");
    messages_.put_string(NFTA_TABLE_NAME, table_);
}

void NftBatch::add_new_table() {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, "add table");
    messages_.put_string(NFTA_TABLE_NAME, table_);
}

void NftBatch::delete_table() {
    begin(NFT_MSG_DELTABLE, 0, "delete table");
    messages_.put_string(NFTA_TABLE_NAME, table_);
}

void NftBatch::add_chain(const std::string& name) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "add chain " + name);
    messages_.put_string(NFTA_CHAIN_TABLE, table_);
    messages_.put_string(NFTA_CHAIN_NAME, name);
}

void NftBatch::add_base_chain(const std::string& name, const NftBaseChain& base) {
    add_chain(name);
    messages_.put_string(NFTA_CHAIN_TYPE, base.type);
    messages_.put_big_endian_u32(NFTA_CHAIN_POLICY, NF_ACCEPT);
    messages_.begin_nested(NFTA_CHAIN_HOOK);
    messages_.put_big_endian_u32(NFTA_HOOK_HOOKNUM, static_cast<std::uint32_t>(base.hook));
    messages_.put_big_endian_u32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(base.priority));
    if (!base.device.empty()) {
        messages_.put_string(NFTA_HOOK_DEV, base.device);
    }
    messages_.end_nested();
}

void NftBatch::flush_chain(const std::string& name) {
    begin(NFT_MSG_DELRULE, 0, "flush chain " + name);
    messages_.put_string(NFTA_RULE_TABLE, table_);
    messages_.put_string(NFTA_RULE_CHAIN, name);
}

void NftBatch::add_set(const NftSet& set) {
    begin(NFT_MSG_NEWSET, NLM_F_CREATE, "add set " + set.name);
    const TypeAndSize key = concatenate(set.key);
    messages_.put_string(NFTA_SET_TABLE, table_);
    messages_.put_string(NFTA_SET_NAME, set.name);
    // NFT_SET_CONCAT is for intervals only: a hash of the whole key needs no parts.
    std::uint32_t set_flags = set.data.empty() ? 0U : std::uint32_t{NFT_SET_MAP};
    if (set.timeout.count() != 0) {
        set_flags |= NFT_SET_TIMEOUT;
        messages_.put_big_endian_u64(
            NFTA_SET_TIMEOUT, static_cast<std::uint64_t>(set.timeout.count()));
    }
    if (set.rules_add) {
        set_flags |= NFT_SET_EVAL;
    }
    messages_.put_big_endian_u32(NFTA_SET_FLAGS, set_flags);
    messages_.put_big_endian_u32(NFTA_SET_KEY_TYPE, key.type);
    messages_.put_big_endian_u32(NFTA_SET_KEY_LEN, key.size);
    messages_.put_big_endian_u32(NFTA_SET_ID, ++set_ids_);
    if (set.key == std::vector{NftType::InterfaceName}) {
        messages_.put_bytes(NFTA_SET_USERDATA, host_byte_order_key);
    }
    if (!set.data.empty()) {
        const TypeAndSize data = concatenate(set.data);
        messages_.put_big_endian_u32(NFTA_SET_DATA_TYPE, data.type);
        messages_.put_big_endian_u32(NFTA_SET_DATA_LEN, data.size);
    }
}

void NftBatch::add_elements(const std::string& set, const std::vector<NftElement>& elements) {
    change_elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements);
}

void NftBatch::delete_elements(const std::string& set, const std::vector<NftElement>& elements) {
    change_elements(NFT_MSG_DELSETELEM, 0, set, elements);
}

void NftBatch::change_elements(
    std::uint16_t message,
    std::uint16_t flags,
    const std::string& set,
    const std::vector<NftElement>& elements) {
    for (std::size_t start = 0; start < elements.size(); start += elements_per_message) {
        begin(message, flags, "change elements of set " + set);
        messages_.put_string(NFTA_SET_ELEM_LIST_TABLE, table_);
        messages_.put_string(NFTA_SET_ELEM_LIST_SET, set);
        messages_.begin_nested(NFTA_SET_ELEM_LIST_ELEMENTS);
        const std::size_t end = std::min(start + elements_per_message, elements.size());
        for (std::size_t i = start; i < end; ++i) {
            messages_.begin_nested(NFTA_LIST_ELEM);
            messages_.begin_nested(NFTA_SET_ELEM_KEY);
            messages_.put_bytes(NFTA_DATA_VALUE, elements[i].key.bytes());
            messages_.end_nested();
            if (!elements[i].data.bytes().empty()) {
                messages_.begin_nested(NFTA_SET_ELEM_DATA);
                messages_.put_bytes(NFTA_DATA_VALUE, elements[i].data.bytes());
                messages_.end_nested();
            }
            if (elements[i].rate != 0 && message == NFT_MSG_NEWSETELEM) {
                put_rate(messages_, elements[i].rate);
            }
            messages_.end_nested();
        }
        messages_.end_nested();
    }
}

NftRule NftBatch::rule(const std::string& chain) {
    begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "add a rule to chain " + chain);
    messages_.put_string(NFTA_RULE_TABLE, table_);
    messages_.put_string(NFTA_RULE_CHAIN, chain);
    return NftRule(messages_);
}

NftRule NftBatch::rule_at_head(const std::string& chain, const std::string& comment) {
    begin(NFT_MSG_NEWRULE, NLM_F_CREATE, "insert a rule into chain " + chain);
    messages_.put_string(NFTA_RULE_TABLE, table_);
    messages_.put_string(NFTA_RULE_CHAIN, chain);
    // A list of type (0: comment), length and bytes.
    std::vector<std::uint8_t> data{0, static_cast<std::uint8_t>(comment.size() + 1)};
    VERIFY(comment.size() < UINT8_MAX);
    data.insert(data.end(), comment.begin(), comment.end());
    data.push_back(0);
    messages_.put_bytes(NFTA_RULE_USERDATA, data);
    return NftRule(messages_);
}

void NftBatch::delete_rule(const std::string& chain, std::uint64_t handle) {
    begin(NFT_MSG_DELRULE, 0, "delete a rule of chain " + chain);
    messages_.put_string(NFTA_RULE_TABLE, table_);
    messages_.put_string(NFTA_RULE_CHAIN, chain);
    messages_.put_big_endian_u64(NFTA_RULE_HANDLE, handle);
}

Result<void> NftBatch::commit(NetlinkSocket& socket) {
    if (messages_.message_count() == 1) {
        return ok();
    }
    // Errors are reported for every message; one acknowledgement is enough to know that all went
    // well, and thousands would overflow the receive buffer.
    messages_.acknowledge_open_message();
    messages_.begin(
        NFNL_MSG_BATCH_END,
        0,
        struct_bytes(header_for(AF_UNSPEC, NFNL_SUBSYS_NFTABLES)),
        "change table " + table_);
    return socket.execute(messages_);
}

std::uint16_t nft_message(std::uint16_t message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

std::optional<NftChainInfo> parse_nft_chain(const nlmsghdr& header) {
    if (header.nlmsg_type != nft_message(NFT_MSG_NEWCHAIN) ||
        mnl_nlmsg_get_payload_len(&header) < sizeof(nfgenmsg)) {
        return std::nullopt;
    }
    NftChainInfo chain;
    chain.family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(&header))->nfgen_family;
    for (const nlattr* attribute : attributes_of(header, sizeof(nfgenmsg))) {
        const std::uint16_t type = mnl_attr_get_type(attribute);
        if (type == NFTA_CHAIN_TABLE) {
            chain.table = string_of(*attribute);
        } else if (type == NFTA_CHAIN_NAME) {
            chain.name = string_of(*attribute);
        } else if (type == NFTA_CHAIN_POLICY) {
            chain.policy = big_endian_u32_of(*attribute);
        } else if (type == NFTA_CHAIN_TYPE) {
            chain.type = string_of(*attribute);
        } else if (type == NFTA_CHAIN_HOOK) {
            for (const nlattr* hook : attributes_of(*attribute)) {
                if (mnl_attr_get_type(hook) == NFTA_HOOK_HOOKNUM) {
                    chain.hook = big_endian_u32_of(*hook);
                } else if (mnl_attr_get_type(hook) == NFTA_HOOK_PRIORITY) {
                    if (const auto priority = big_endian_u32_of(*hook)) {
                        chain.priority = static_cast<std::int32_t>(*priority);
                    }
                }
            }
        }
    }
    return chain;
}

Result<std::vector<NftChainInfo>> list_nft_chains(NetlinkSocket& socket) {
    NetlinkBatch request;
    request.begin(
        nft_message(NFT_MSG_GETCHAIN),
        NLM_F_DUMP,
        struct_bytes(header_for(NFPROTO_UNSPEC, 0)),
        "list nf_tables chains");
    std::vector<NftChainInfo> chains;
    TRY(socket.dump(
        request,
        [&] { chains.clear(); },
        [&](const nlmsghdr& message) {
            if (std::optional<NftChainInfo> chain = parse_nft_chain(message)) {
                chains.push_back(std::move(*chain));
            }
        }));
    return chains;
}

} // namespace berth::kernel
