// SPDX-License-Identifier: Apache-2.0
// The short way of long connections between containers and other hosts: TCP, published ports
// and the way out alike. Once the kernel has tracked and translated its first packets, eBPF
// programs at the container's veth pair and at the host's interface to the outside do with the
// further ones what the kernel would, and hand them on: without bridge, routing and rules.
// What begins and ends a connection, and one packet a second, goes the ordinary way, and so does
// all that this does not know. A connection's short way is lent for three seconds at a time: before
// it is prolonged, the kernel is asked whether all is still as it was. Decision 0049.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "network/bridge_shortcut.h"
#include "network/foreign_chains.h"

#include <memory>

namespace berth::network {

// Thread-safe.
class FlowShortcut {
  public:
    // For the calling thread's network namespace. Without the short way where the kernel has not
    // what it needs (tcx: 6.6, which shows with the first connection) or does not let us: that is
    // said in the log.
    static FlowShortcut start();
    FlowShortcut(FlowShortcut&& other) noexcept;
    FlowShortcut& operator=(FlowShortcut&& other) = delete;
    // All packets go the ordinary way again.
    ~FlowShortcut();

    // Where the programs at veth pairs find the one to go on with for packets that are not for
    // their neighbors, and where they tell of interfaces that send much.
    ShortcutHooks hooks() const;

    // For interfaces of members that send much: BridgeShortcut::take_busy_program().
    void set_busy_program(UniqueFd program);

    // Rules of other programs must see what they judge: while there are some, all packets do.
    void heed(const ForeignRules& rules);

    // Its connections may take the short way; they all take the ordinary one again.
    void join(const ShortcutMember& member);
    void leave(int host_index);

  private:
    struct State;
    explicit FlowShortcut(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::network
