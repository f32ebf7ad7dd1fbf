// SPDX-License-Identifier: Apache-2.0
// The eBPF program of bridge_shortcut.h, and the tables that they share. Internal.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/bpf.h"
#include "network/bridge_shortcut.h"

#include <linux/if_ether.h>

#include <array>
#include <cstdint>
#include <vector>

namespace berth::network {

// Of both tables of members, without holes. The addresses of IPv4 are followed by zeros.
struct MemberKey {
    std::uint32_t scope = 0; // an interface, or a network
    std::array<std::uint8_t, ETH_ALEN> mac{};
    std::uint16_t ether_type = 0; // network order
    std::array<std::uint8_t, 16> address{};
};

static_assert(sizeof(MemberKey) == 28);

// What is known of a sender.
struct SenderRecord {
    std::uint32_t network = 0;
    std::uint32_t gateway = 0; // the host's interface in the network: its bridge
    std::array<std::uint8_t, ETH_ALEN> gateway_mac{};
    std::uint16_t padding = 0;
};

// What goes which way. Each processor notes for some interfaces what their last frame was like and
// where it went: the next one of the same kind is compared with one cache line instead of being
// looked up in two tables. Notes of another generation than the current one are not heeded.
struct BridgeTables {
    kernel::BpfHash sources; // interface and addresses of a sender -> SenderRecord
    kernel::BpfHash targets; // network and addresses of a receiver -> interface
    UniqueFd generation;     // a word
    UniqueFd notes;          // none where a program may be interrupted by another: PREEMPT_RT

    static Result<BridgeTables> create(std::uint32_t most_addresses);
};

// BPF_PROG_TYPE_SCHED_CLS. `answer`: for a frame that goes on to the bridge. With TC_ACT_UNSPEC the
// ring hears of one frame in 1,024.
std::vector<bpf_insn>
bridge_program(const BridgeTables& tables, const ShortcutHooks& hooks, int answer);

} // namespace berth::network
