// SPDX-License-Identifier: Apache-2.0
// Counting ports, and making further bridges.
#include "network/drivers/bridge_ports.h"

#include "base/random.h"
#include "network/big_tcp.h"

#include <algorithm>

namespace berth::network {

using kernel::LinkState;
using kernel::RouteBatch;

namespace {

constexpr std::size_t name_bytes = 5;
std::size_t limit = 900;

} // namespace

void BridgePorts::set_limit_for_test(std::size_t new_limit) {
    limit = new_limit;
}

std::string BridgePorts::label(const std::string& owner, const std::string& bridge_name) {
    return owner + "/" + bridge_name;
}

BridgePorts::BridgePorts(
    const BridgeOptions& options,
    const std::string& owner,
    const HostBridge& first,
    const HostLinks* found)
    : label_(label(owner, options.name))
    , mtu_(options.mtu)
    , isolated_(!options.inter_container)
    , big_tcp_(allows_big_tcp(options, first))
    , bridges_{{.index = first.index}} {
    if (found == nullptr) {
        return;
    }
    for (const kernel::Link& link : found->all) {
        if (link.alias == label_ && link.kind == "bridge") {
            bridges_.push_back({.index = link.index});
        } else if (link.alias == label_) {
            joints_.push_back(link.index);
        }
    }
}

Result<int> BridgePorts::take(kernel::RouteSocket& host) {
    for (Bridge& bridge : bridges_) {
        if (bridge.taken < limit) {
            ++bridge.taken;
            return bridge.index;
        }
    }
    bridges_.push_back({.index = TRY(add_bridge(host)), .taken = 1});
    return bridges_.back().index;
}

// A container of one bridge reaches those of the others over the first one, where an isolated joint
// keeps it from doing so.
Result<int> BridgePorts::add_bridge(kernel::RouteSocket& host) {
    const std::string suffix = random_hex(name_bytes);
    const std::string bridge_name = "brx-" + suffix;
    const std::string near_name = "brj-" + suffix;
    const std::string far_name = "brk-" + suffix;
    RouteBatch creation;
    creation.add_bridge({.name = bridge_name, .mac = MacAddress::random(), .mtu = mtu_});
    creation.change_link(bridge_name, {.alias = label_});
    TRY(host.execute(creation));
    const std::optional<kernel::Link> bridge = TRY(host.find_link(bridge_name));
    if (!bridge) {
        return internal_error("bridge " + bridge_name + " vanished while it was made");
    }
    RouteBatch joint;
    joint.add_veth(
        {.name = near_name, .peer_name = far_name, .mtu = mtu_, .master = bridges_.front().index});
    // The kernel takes no master for the far end while it makes the pair.
    joint.change_link(far_name, {.master = bridge->index});
    joint.change_link(near_name, {.alias = label_});
    joint.change_link(far_name, {.alias = label_});
    for (const std::string& name : {near_name, far_name, bridge_name}) {
        joint.change_link(
            name, {.state = LinkState::Up, .without_link_local = mtu_ >= smallest_ipv6_mtu});
    }
    Result<void> joined = host.execute(joint);
    const std::optional<kernel::Link> near = TRY(host.find_link(near_name));
    if (joined.ok() && near && isolated_) {
        RouteBatch isolation;
        isolation.change_bridge_port(near->index, {.isolated = true});
        joined = host.execute(isolation);
    }
    if (!joined.ok() || !near) {
        RouteBatch removal;
        removal.delete_link(bridge->index);
        if (near) {
            removal.delete_link(near->index);
        }
        TRY(host.execute_each(removal));
        TRY(joined);
        return internal_error("the joint of bridge " + bridge_name + " vanished");
    }
    if (big_tcp_) {
        allow_big_packets(host, {near->index}); // it is a port of the first bridge as others are
    }
    joints_.push_back(near->index);
    return bridge->index;
}

void BridgePorts::give_back(int bridge_index) {
    for (Bridge& bridge : bridges_) {
        if (bridge.index == bridge_index && bridge.taken != 0) {
            --bridge.taken;
        }
    }
}

void BridgePorts::count(int bridge_index) {
    for (Bridge& bridge : bridges_) {
        bridge.taken += bridge.index == bridge_index ? 1 : 0;
    }
}

bool BridgePorts::is_joint(int link) const {
    return std::ranges::find(joints_, link) != joints_.end();
}

std::vector<int> BridgePorts::bridges() const {
    std::vector<int> indexes;
    for (const Bridge& bridge : bridges_) {
        indexes.push_back(bridge.index);
    }
    return indexes;
}

} // namespace berth::network
