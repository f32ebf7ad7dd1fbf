// SPDX-License-Identifier: Apache-2.0
// Counting ports, and making further bridges.
#include "network/drivers/bridge_ports.h"

#include "base/random.h"
#include "network/big_tcp.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace berth::network {

using kernel::LinkState;
using kernel::RouteBatch;

namespace {

constexpr std::size_t name_bytes = 5;
constexpr std::string_view near_end = "brj-"; // of a joint, on the first bridge
constexpr std::string_view far_end = "brk-";
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

Result<int> BridgePorts::make_bridge(kernel::RouteSocket& host) {
    const std::string name = "brx-" + random_hex(name_bytes);
    RouteBatch creation;
    creation.add_bridge({.name = name, .mac = MacAddress::random(), .mtu = mtu_});
    creation.change_link(name, {.alias = label_});
    TRY(host.execute(creation));
    const std::optional<kernel::Link> bridge = TRY(host.find_link(name));
    return bridge ? Result<int>(bridge->index)
                  : internal_error("bridge " + name + " vanished while it was made");
}

// A container of one bridge reaches those of the others over the first one, where an isolated joint
// keeps it from doing so.
Result<void> BridgePorts::join(int bridge_index, kernel::RouteSocket& host) {
    const std::string suffix = random_hex(name_bytes);
    const std::string near_name = std::string(near_end) + suffix;
    const std::string far_name = std::string(far_end) + suffix;
    const kernel::LinkChange raise{
        .state = LinkState::Up, .without_link_local = mtu_ >= smallest_ipv6_mtu};
    RouteBatch joint;
    joint.add_veth(
        {.name = near_name, .peer_name = far_name, .mtu = mtu_, .master = bridges_.front().index});
    // The kernel takes no master for the far end while it makes the pair.
    joint.change_link(far_name, {.master = bridge_index});
    joint.change_link(near_name, {.alias = label_});
    joint.change_link(far_name, {.alias = label_});
    joint.change_link(near_name, raise);
    joint.change_link(far_name, raise);
    joint.change_link(bridge_index, raise);
    Result<void> joined = host.execute(joint);
    const std::optional<kernel::Link> near = TRY(host.find_link(near_name));
    if (joined.ok() && near && isolated_) {
        RouteBatch isolation;
        isolation.change_bridge_port(near->index, {.isolated = true});
        joined = host.execute(isolation);
    }
    if (!joined.ok() && near) {
        RouteBatch removal;
        removal.delete_link(near->index);
        TRY(host.execute_each(removal));
    }
    TRY(joined);
    if (!near) {
        return internal_error("the joint " + near_name + " vanished while it was made");
    }
    if (big_tcp_) {
        allow_big_packets(host, {near->index}); // it is a port of the first bridge as others are
    }
    joints_.push_back(near->index);
    return ok();
}

Result<int> BridgePorts::add_bridge(kernel::RouteSocket& host) {
    const int index = TRY(make_bridge(host));
    Result<void> joined = join(index, host);
    if (!joined.ok()) {
        RouteBatch removal;
        removal.delete_link(index);
        TRY(host.execute_each(removal));
        return std::move(joined).error();
    }
    return index;
}

void BridgePorts::replace_first(const BridgeOptions& options, const HostBridge& first) {
    bridges_.front().index = first.index;
    big_tcp_ = allows_big_tcp(options, first);
}

bool BridgePorts::has(int link) const {
    return is_joint(link) || std::ranges::find(bridges_, link, &Bridge::index) != bridges_.end();
}

// The ends of pairs whose bridge is gone lead nowhere.
Result<void> BridgePorts::drop_ends_of_lost_bridges(kernel::RouteSocket& host) const {
    RouteBatch removal;
    for (const kernel::Link& link : TRY(host.links())) {
        if (link.alias == label_ && link.name.starts_with(far_end) && link.master == 0) {
            removal.delete_link(link.index);
        }
    }
    if (!removal.messages().empty()) {
        TRY(host.execute_each(removal));
    }
    return ok();
}

Result<std::map<int, int>> BridgePorts::make_again(kernel::RouteSocket& host) {
    std::map<int, int> moved;
    if (bridges_.size() == 1) {
        return moved;
    }
    TRY(drop_ends_of_lost_bridges(host));
    std::set<int> present;
    std::set<int> joined;
    RouteBatch rejoining;
    joints_.clear();
    for (const kernel::Link& link : TRY(host.links())) {
        if (link.kind == "bridge") {
            present.insert(link.index);
        }
        if (link.alias != label_ || link.kind != "veth") {
            continue;
        }
        if (link.name.starts_with(far_end)) {
            joined.insert(link.master);
            continue;
        }
        joints_.push_back(link.index);
        if (link.master == 0) {
            rejoining.change_link(link.index, {.master = bridges_.front().index});
            rejoining.change_bridge_port(link.index, {.isolated = isolated_});
        }
    }
    TRY(host.execute(rejoining));
    for (std::size_t i = 1; i < bridges_.size(); ++i) {
        int& index = bridges_[i].index;
        if (!present.contains(index)) {
            const int made = TRY(add_bridge(host));
            moved[index] = made;
            index = made;
        } else if (!joined.contains(index)) {
            TRY(join(index, host));
        }
    }
    return moved;
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
