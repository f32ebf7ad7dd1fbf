// SPDX-License-Identifier: Apache-2.0
// Asks the kernel what it does with a connection between a container and another host, and tells
// how programs can do the same with its packets (flow_program.h). Internal.
#pragma once

#include "base/result.h"
#include "kernel/netlink_conntrack.h"
#include "kernel/netlink_route.h"
#include "network/bridge_shortcut.h"
#include "network/flow_table.h"

#include <map>
#include <optional>
#include <utility>

namespace berth::network {

// A connection of a container's.
struct Flow {
    int host_index = 0; // of the container's veth pair
    int uplink = 0;     // the host's interface to the other host
    FlowDirection out{};
    FlowDirection in{};

    bool leads_like(const Flow& other) const {
        return uplink == other.uplink && out.leads_like(other.out) && in.leads_like(other.in);
    }
};

// Not thread-safe.
class FlowInspector {
  public:
    // For the calling thread's network namespace.
    static Result<FlowInspector> open();

    // What interfaces are like, and what the host has beside routes, is asked for once in a round.
    void begin_round();

    // The connection whose packets the member sends so, without times. nullopt: it cannot be led,
    // or there is none that is tracked, established, and to another host.
    Result<std::optional<Flow>>
    inspect(const ShortcutMember& member, const kernel::FlowTuple& sent);

    // kernel::let_flow_skip_windows().
    Result<void> let_skip_windows(const kernel::FlowTuple& sent);

  private:
    // As forwarding has them.
    struct Ends {
        kernel::Link uplink;
        kernel::Link pair;
        kernel::Link bridge;
    };

    FlowInspector(kernel::NetlinkSocket connections, kernel::RouteSocket routes)
        : connections_(std::move(connections))
        , routes_(std::move(routes)) {}

    Result<std::optional<Ends>> ends(const ShortcutMember& member, int uplink);
    Result<bool> may_pass_by(int uplink);
    Result<std::optional<kernel::Link>> link(int index);

    kernel::NetlinkSocket connections_;
    kernel::RouteSocket routes_;
    // Of this round.
    std::map<int, std::optional<kernel::Link>> links_;
    std::map<int, bool> passable_; // by the interface to the outside
};

} // namespace berth::network
