// SPDX-License-Identifier: Apache-2.0
// The ports of a bridge network. The kernel's bridges have at most 1,023 of them (BR_MAX_PORTS), so
// a large network spreads over further bridges, each joined to the first one by a veth pair: a
// star, which needs no spanning tree. Only the first bridge has addresses. Not thread-safe; its
// owner locks.
#pragma once

#include "base/result.h"
#include "network/bridge.h"
#include "network/driver_parts.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace berth::network {

class BridgePorts {
  public:
    // What an earlier engine made is found again by its label.
    BridgePorts(
        const BridgeOptions& options,
        const std::string& owner,
        const HostBridge& first,
        const HostLinks* found);

    // The bridge that the next port goes to, counted as taken.
    Result<int> take(kernel::RouteSocket& host);
    void give_back(int bridge_index);
    // Of an endpoint that is there already.
    void count(int bridge_index);

    // All bridges, the first one first.
    std::vector<int> bridges() const;

    // Ends of the veth pairs between them.
    const std::vector<int>& joints() const { return joints_; }

    bool is_joint(int link) const;

    // Whether the link is one of the bridges or a joint.
    bool has(int link) const;

    // The first bridge is another one now.
    void replace_first(const BridgeOptions& options, const HostBridge& first);

    // Further bridges and joints that somebody has deleted are made again, and joints put back on
    // the first bridge, which must be there. Says which bridge stands in for which; what was on one
    // is for the caller to put on the other.
    Result<std::map<int, int>> make_again(kernel::RouteSocket& host);

    bool is_first(int bridge_index) const { return bridges_.front().index == bridge_index; }

    // How many endpoints a bridge takes; the default leaves room for joints and for ports on their
    // way out.
    static void set_limit_for_test(std::size_t limit);

    // The label of further bridges and of what joins them, of the network with this first bridge.
    static std::string label(const std::string& owner, const std::string& bridge_name);

  private:
    struct Bridge {
        int index = 0;
        std::size_t taken = 0;
    };

    // A further bridge, joined to the first one.
    Result<int> add_bridge(kernel::RouteSocket& host);
    Result<int> make_bridge(kernel::RouteSocket& host);
    Result<void> join(int bridge_index, kernel::RouteSocket& host);
    Result<void> drop_ends_of_lost_bridges(kernel::RouteSocket& host) const;

    std::string label_;
    std::uint32_t mtu_;
    bool isolated_;
    bool big_tcp_;
    std::vector<Bridge> bridges_;
    std::vector<int> joints_; // one end of each veth pair
};

} // namespace berth::network
