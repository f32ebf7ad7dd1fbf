// SPDX-License-Identifier: Apache-2.0
// Dumps of rules. A comment is user data: a list of type, length and bytes (libnftnl's udata.h).
#include "kernel/nftables_list.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <cstring>
#include <span>

#include <endian.h>

namespace berth::kernel {
namespace {

constexpr std::uint8_t comment_type = 0;

std::string comment_in(std::span<const std::uint8_t> data) {
    while (data.size() >= 2 && data.size() - 2 >= data[1]) {
        const std::span<const std::uint8_t> value = data.subspan(2, data[1]);
        if (data[0] == comment_type) {
            const auto* text = reinterpret_cast<const char*>(value.data());
            return std::string(text, ::strnlen(text, value.size()));
        }
        data = data.subspan(2 + value.size());
    }
    return {};
}

} // namespace

std::optional<NftRuleInfo> parse_nft_rule(const nlmsghdr& header) {
    if (header.nlmsg_type != nft_message(NFT_MSG_NEWRULE) ||
        mnl_nlmsg_get_payload_len(&header) < sizeof(nfgenmsg)) {
        return std::nullopt;
    }
    NftRuleInfo rule;
    for (const nlattr* attribute : attributes_of(header, sizeof(nfgenmsg))) {
        const std::uint16_t type = mnl_attr_get_type(attribute);
        const std::size_t size = mnl_attr_get_payload_len(attribute);
        const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute));
        if (type == NFTA_RULE_HANDLE && size == sizeof rule.handle) {
            std::memcpy(&rule.handle, bytes, size);
            rule.handle = be64toh(rule.handle);
        } else if (type == NFTA_RULE_USERDATA) {
            rule.comment = comment_in({bytes, size});
        }
    }
    return rule;
}

Result<std::vector<NftRuleInfo>> list_nft_rules(
    NetlinkSocket& socket, NftFamily family, const std::string& table, const std::string& chain) {
    NetlinkBatch request;
    const nfgenmsg header{
        .nfgen_family = static_cast<std::uint8_t>(family), .version = NFNETLINK_V0, .res_id = 0};
    request.begin(
        nft_message(NFT_MSG_GETRULE),
        NLM_F_DUMP,
        struct_bytes(header),
        "list the rules of chain " + chain + " of table " + table);
    request.put_string(NFTA_RULE_TABLE, table);
    request.put_string(NFTA_RULE_CHAIN, chain);
    std::vector<NftRuleInfo> rules;
    TRY(socket.dump(
        request,
        [&] { rules.clear(); },
        [&](const nlmsghdr& message) {
            if (std::optional<NftRuleInfo> rule = parse_nft_rule(message)) {
                rules.push_back(std::move(*rule));
            }
        }));
    return rules;
}

} // namespace berth::kernel
