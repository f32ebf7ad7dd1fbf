// SPDX-License-Identifier: Apache-2.0
// What the kernel tells of other programs' firewalls: dumps of chains and rules, and notifications
// of changes. Names, comments and the bytes of expressions are what those programs made them.
#include "base/verify.h"
#include "kernel/nftables_list.h"
#include "kernel/nftables_monitor.h"
#include "network/foreign_chains.h"

#include <linux/netfilter.h>
#include <linux/netlink.h>

#include <cstring>
#include <vector>

namespace {

using berth::kernel::NftChanges;

void read_one(const nlmsghdr& message) {
    if (const auto chain = berth::kernel::parse_nft_chain(message)) {
        VERIFY(chain->name.find('\0') == std::string::npos);
        // Only a forward chain gets a rule of ours.
        VERIFY(!berth::network::is_adaptable(*chain) || chain->hook == NF_INET_FORWARD);
    }
    if (const auto rule = berth::kernel::parse_nft_rule(message)) {
        VERIFY(rule->comment.find('\0') == std::string::npos);
        VERIFY(rule->comment.size() <= UINT8_MAX);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // As recv(2) fills it: aligned, and exactly as long as what came.
    std::vector<nlmsghdr> aligned(size / sizeof(nlmsghdr) + 1);
    std::memcpy(static_cast<void*>(aligned.data()), data, size);
    std::span<const std::byte> bytes = std::as_bytes(std::span(aligned)).first(size);
    NftChanges changes;
    berth::kernel::note_changes(bytes, "berth-berth0", changes);
    while (bytes.size() >= sizeof(nlmsghdr)) {
        const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
        if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > bytes.size()) {
            break;
        }
        read_one(*message);
        const std::size_t step = NLMSG_ALIGN(std::size_t{message->nlmsg_len});
        bytes = bytes.subspan(std::min(step, bytes.size()));
    }
    return 0;
}
