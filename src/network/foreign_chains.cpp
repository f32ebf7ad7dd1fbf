// SPDX-License-Identifier: Apache-2.0
// The rule is one that iptables can show and save: `-m mark --mark 0x8000000/0x8000000 -j ACCEPT`.
#include "network/foreign_chains.h"

#include "kernel/nftables_list.h"
#include "network/legacy_tables.h"

#include <linux/netfilter.h>

#include <algorithm>

namespace berth::network {
namespace {

using kernel::NftBatch;
using kernel::NftChainInfo;
using kernel::NftFamily;
using kernel::NftRuleInfo;

Result<std::vector<NftChainInfo>> adaptable_chains(kernel::NetlinkSocket& socket) {
    std::vector<NftChainInfo> chains = TRY(kernel::list_nft_chains(socket));
    std::erase_if(chains, [](const NftChainInfo& chain) { return !is_adaptable(chain); });
    return chains;
}

bool is_ip(const NftChainInfo& chain) {
    return chain.family == NFPROTO_IPV4 || chain.family == NFPROTO_IPV6 ||
           chain.family == NFPROTO_INET;
}

// Chains of address translation see the first packet of a connection only.
bool sees_routed_packets(const NftChainInfo& chain) {
    if (chain.family == NFPROTO_NETDEV) {
        return chain.hook.has_value();
    }
    return is_ip(chain) && chain.type != "nat" &&
           (chain.hook == NF_INET_PRE_ROUTING || chain.hook == NF_INET_POST_ROUTING ||
            chain.hook == NF_INET_INGRESS);
}

} // namespace

bool is_adaptable(const NftChainInfo& chain) {
    if (chain.hook != NF_INET_FORWARD) {
        return false;
    }
    const bool iptables = (chain.family == NFPROTO_IPV4 || chain.family == NFPROTO_IPV6) &&
                          chain.table == "filter" && chain.name == "FORWARD";
    // firewalld's policy is accept; a rule at the end refuses.
    const bool firewalld = chain.family == NFPROTO_INET && chain.table == "firewalld" &&
                           chain.name == "filter_FORWARD";
    return (iptables && chain.policy == NF_DROP) || firewalld;
}

Result<void> pass_foreign_chains(
    kernel::NetlinkSocket& socket, const std::string& comment, FirewallFamilies families) {
    for (const NftChainInfo& chain : TRY(adaptable_chains(socket))) {
        const auto family = static_cast<NftFamily>(chain.family);
        if (family == NftFamily::Ipv6 && families == FirewallFamilies::V4Alone) {
            continue;
        }
        const std::vector<NftRuleInfo> rules =
            TRY(kernel::list_nft_rules(socket, family, chain.table, chain.name));
        const bool is_there = std::any_of(
            rules.begin(), rules.end(), [&](const auto& rule) { return rule.comment == comment; });
        if (!is_there) {
            NftBatch batch(chain.table, family);
            batch.rule_at_head(chain.name, comment).if_mark_has(let_through_mark).accept();
            TRY(batch.commit(socket));
        }
    }
    return ok();
}

Result<ForeignRules> find_foreign_rules(kernel::NetlinkSocket& socket, const std::string& own) {
    ForeignRules found{
        .forwarded = has_legacy_filter_table(), .routed = has_legacy_packet_tables()};
    for (const NftChainInfo& chain : TRY(kernel::list_nft_chains(socket))) {
        const bool bridged = chain.family == NFPROTO_BRIDGE;
        const bool forwarded = is_ip(chain) && chain.hook == NF_INET_FORWARD;
        const bool routed = sees_routed_packets(chain);
        if (chain.table == own || (!bridged && !forwarded && !routed)) {
            continue;
        }
        const auto family = static_cast<NftFamily>(chain.family);
        const std::vector<NftRuleInfo> rules =
            TRY(kernel::list_nft_rules(socket, family, chain.table, chain.name));
        const bool judges =
            chain.policy == NF_DROP || std::ranges::any_of(rules, [&](const NftRuleInfo& rule) {
                return rule.comment != own;
            });
        found.bridged = found.bridged || (bridged && judges);
        found.forwarded = found.forwarded || (forwarded && judges);
        found.routed = found.routed || (routed && judges);
    }
    return found;
}

Result<void> leave_foreign_chains(
    kernel::NetlinkSocket& socket, const std::string& comment, std::optional<NftFamily> only) {
    for (const NftChainInfo& chain : TRY(kernel::list_nft_chains(socket))) {
        if (chain.hook != NF_INET_FORWARD ||
            (chain.table != "filter" && chain.table != "firewalld")) {
            continue;
        }
        const auto family = static_cast<NftFamily>(chain.family);
        if (only && family != *only) {
            continue;
        }
        for (const NftRuleInfo& rule :
             TRY(kernel::list_nft_rules(socket, family, chain.table, chain.name))) {
            if (rule.comment == comment) {
                NftBatch batch(chain.table, family);
                batch.delete_rule(chain.name, rule.handle);
                TRY(batch.commit(socket));
            }
        }
    }
    return ok();
}

} // namespace berth::network
