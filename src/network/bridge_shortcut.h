// SPDX-License-Identifier: Apache-2.0
// The short way between containers of one bridge network: an eBPF program at the host's end of each
// veth pair hands frames to the other container's interface at once, without the bridge, its rules
// and the second pair's queue. Only TCP, UDP and SCTP from a source that is the interface's own to
// an address of the same network; all else goes on to the bridge, which judges it. Decision 0026.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "kernel/bpf.h"
#include "kernel/netlink_route.h"
#include "network/foreign_chains.h"

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace berth::network {

// br_netfilter, of which each network namespace has its own switches: rules and translation of
// routed packets are carried out for what bridges carry, before it is handed on.
bool iptables_sees_bridged();

// A container's interface, as the short way knows it.
struct ShortcutMember {
    int network = 0;    // a number for the network: its first bridge's interface
    int host_index = 0; // the host's end of the veth pair
    kernel::MacAddress mac;
    std::vector<kernel::IpAddress> addresses;
    kernel::MacAddress gateway_mac; // of the first bridge
};

// What its program goes on with, made by another (flow_shortcut.h); invalid without it.
struct ShortcutHooks {
    FdRef continuation; // judges what this does not know
    FdRef ring;         // hears of interfaces that send much: their number, as a FlowKeyRecord
};

// Thread-safe.
class BridgeShortcut {
  public:
    // Without it where the kernel has no bpf_redirect_peer (before 5.10) or does not let us: that
    // is said in the log, and all frames go over the bridge.
    static BridgeShortcut open(const ShortcutHooks& hooks);
    ~BridgeShortcut();

    // Rules of other programs that judge bridged frames must see them: while there are some, all
    // frames go over the bridge.
    void heed(const ForeignRules& rules);

    // Frames of the others reach it, and its own go the short way too. Again: for an interface that
    // an earlier engine had joined. On an error nothing is left.
    Result<void> join(kernel::RouteSocket& host, const ShortcutMember& member);

    // The same program, to be put before that of join() by a quicker way (tcx): what it lets go on
    // comes to no other. Gives it away; invalid without it.
    UniqueFd take_busy_program();

    // From now on nothing goes its way, from it or to it. Also for one that has not joined.
    void leave(int host_index);

  private:
    struct Parts;

    struct Members {
        std::map<int, ShortcutMember> by_interface;
        ForeignRules foreign{};
        bool open = true; // the members are in the tables
        std::uint32_t generation = 1;
    };

    explicit BridgeShortcut(std::unique_ptr<Parts> parts);

    static Result<std::unique_ptr<Parts>> make(const ShortcutHooks& hooks);
    void look_again(Members& members) const;
    Result<void> enter(const ShortcutMember& member) const;
    void withdraw(const ShortcutMember& member) const;
    void forget_notes(Members& members) const;

    std::unique_ptr<Parts> parts_; // none: all frames go over the bridge
    Synchronized<Members> members_;
};

} // namespace berth::network
