// SPDX-License-Identifier: Apache-2.0
// What is in nf_tables, as far as the engine must know: rules by their comment.
#pragma once

#include "base/result.h"
#include "kernel/netlink_socket.h"
#include "kernel/nftables.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::kernel {

struct NftRuleInfo {
    std::uint64_t handle = 0; // by which the rule is deleted
    std::string comment;      // as nft and iptables show it; often empty
};

// Of one chain, in order; empty when there is no such chain.
Result<std::vector<NftRuleInfo>> list_nft_rules(
    NetlinkSocket& socket, NftFamily family, const std::string& table, const std::string& chain);

std::optional<NftRuleInfo> parse_nft_rule(const nlmsghdr& header);

} // namespace berth::kernel
