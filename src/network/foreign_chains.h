// SPDX-License-Identifier: Apache-2.0
// A way through the forward chains of other firewalls. A packet must pass every base chain of a
// hook: what our table lets through, ufw (iptables' FORWARD with the policy drop) and firewalld
// would drop all the same, and with it all traffic of containers. As other engines do, one rule is
// put at the head of their chain: it accepts what our chain, which comes first, has marked.
#pragma once

#include "base/result.h"
#include "kernel/netlink_socket.h"
#include "kernel/nftables.h"
#include "network/firewall_options.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::network {

// The bit of a packet's mark that says "let through by us".
constexpr std::uint32_t let_through_mark = 0x08000000;

// Chains that stop what we let through and that we know how to put a rule into.
bool is_adaptable(const kernel::NftChainInfo& chain);

// Puts the rule, with this comment, into each such chain that lacks it. Never waits.
Result<void> pass_foreign_chains(
    kernel::NetlinkSocket& socket, const std::string& comment, FirewallFamilies families);
// Takes it out of them, or of those of one family alone.
Result<void> leave_foreign_chains(
    kernel::NetlinkSocket& socket,
    const std::string& comment,
    std::optional<kernel::NftFamily> family = {});

// Whether other programs have rules that judge what containers send and receive.
struct ForeignRules {
    bool bridged = false;   // of nftables' bridge family
    bool forwarded = false; // of forwarded packets: with br_netfilter they see bridged ones too
    // Of packets on their way in or out: with `forwarded` all that see each packet of a connection
    // between a container and another host.
    bool routed = false;

    bool operator==(const ForeignRules&) const = default;
};

// Chains without rules, whose policy is to accept, do not count. `own`: our tables' name.
Result<ForeignRules> find_foreign_rules(kernel::NetlinkSocket& socket, const std::string& own);

} // namespace berth::network
