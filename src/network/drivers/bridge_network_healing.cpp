// SPDX-License-Identifier: Apache-2.0
// A bridge that somebody deletes (`ip link delete`, a network manager that tidies up) takes nothing
// of its containers but the way between them: their interfaces stay, joined to nothing, and the
// firewall's rules know bridges by name. So another bridge of that name, with the same MAC and
// addresses, is all they need. The same holds for the further bridges of a large network, and for
// the pairs that join them.
#include "base/log.h"
#include "network/big_tcp.h"
#include "network/drivers/bridge_network_state.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace berth::network {
namespace {

using kernel::RouteBatch;
using kernel::RouteSocket;

constexpr std::size_t ports_a_batch = 128; // what the kernel takes at once is bounded

struct Port {
    int index = 0;
    int bridge = 0;
};

Result<void> join_all(const std::vector<Port>& ports, bool isolated, RouteSocket& host) {
    for (std::size_t start = 0; start < ports.size(); start += ports_a_batch) {
        RouteBatch batch;
        const std::size_t end = std::min(start + ports_a_batch, ports.size());
        for (std::size_t i = start; i < end; ++i) {
            batch.change_link(ports[i].index, {.master = ports[i].bridge});
            put_port_options(batch, ports[i].index, isolated);
        }
        for (const int error : TRY(host.execute_each(batch))) {
            if (error != 0 && error != ENODEV) { // its container ends
                log::debug(
                    "cannot put an interface back on its bridge, ignoring", {{"errno", error}});
            }
        }
    }
    return ok();
}

} // namespace

Result<bool> BridgeNetworkState::is_there(int bridge_index) {
    auto host = parts->host.lock();
    for (const int index : {bridge_index, bridge.index}) {
        const std::optional<kernel::Link> link = TRY(host->find_link(index));
        if (!link || link->kind != "bridge") {
            return false;
        }
        if (bridge_index == bridge.index) {
            break;
        }
    }
    return true;
}

Result<bool> BridgeNetworkState::are_all_there() {
    for (const int index : bridges.lock()->bridges()) {
        if (!TRY(is_there(index))) {
            return false;
        }
    }
    return true;
}

bool BridgeNetworkState::has_lost(const std::set<int>& links) {
    auto guard = bridges.lock();
    return std::ranges::any_of(links, [&](int link) { return guard->has(link); });
}

bool BridgeNetworkState::is_torn(const HostLinks& found) {
    auto guard = members.lock();
    std::set<std::string> joined;
    for (const auto& [id, live] : guard->endpoints) {
        joined.insert(live.host_interface);
    }
    const std::string label = BridgePorts::label(parts->owner, options.name);
    return std::ranges::any_of(found.loose_veths, [&](const kernel::Link* link) {
        return link->alias == label || joined.contains(link->name);
    });
}

Result<void> BridgeNetworkState::heal() {
    const std::unique_lock alone(wiring);
    if (!claim) {
        return not_found("network " + options.name + " not found"); // it was removed meanwhile
    }
    RouteSocket host = TRY(RouteSocket::open());
    const std::string context =
        "bridge " + options.name + " of network " + options.description +
        " is not there any more, somebody has deleted it, and it cannot be made again";
    const std::optional<kernel::Link> link = TRY(host.find_link(bridge.index));
    const bool is_lost = !link || link->kind != "bridge";
    const int former = bridge.index;
    if (is_lost) {
        TRY_CONTEXT(make_bridge_again(host), context);
    }
    std::map<int, int> moved = TRY_CONTEXT(bridges.lock()->make_again(host), context);
    if (is_lost) {
        moved[former] = bridge.index;
    }
    TRY_CONTEXT(put_endpoints_back(moved, host), context);
    if (is_lost) {
        join_shortcuts_again();
    }
    if (!moved.empty()) {
        log::info(
            "somebody deleted a bridge of a network, made it again",
            {{"bridge", options.name}, {"network", options.description}});
    }
    return ok();
}

Result<void> BridgeNetworkState::make_bridge_again(RouteSocket& host) {
    const int former = bridge.index;
    bridge = TRY(ensure_bridge(options, {.owner = parts->owner, .mac = bridge.mac}, host));
    {
        auto links = parts->links.lock();
        links->all.insert(bridge.index);
        links->former.push_back(former);
    }
    bridges.lock()->replace_first(options, bridge);
    shape.bridge_index = bridge.index;
    shape.big_tcp = allows_big_tcp(options, bridge);
    // What is ready leads to the bridge that is gone.
    parts->pool->remove_shelf(shelf);
    shelf = parts->pool->add_shelf(shape, options.pool_size);
    if (options.subnet_v6) {
        parts->firewall.lead_loopback_over(options.name);
    }
    return ok();
}

Result<void>
BridgeNetworkState::put_endpoints_back(const std::map<int, int>& moved, RouteSocket& host) {
    std::map<int, int> masters;
    for (const kernel::Link& link : TRY(host.links())) {
        masters[link.index] = link.master;
    }
    std::vector<Port> loose;
    {
        auto guard = members.lock();
        for (auto& [id, live] : guard->endpoints) {
            if (const auto now = moved.find(live.bridge_index); now != moved.end()) {
                live.bridge_index = now->second;
            }
            const auto master = masters.find(live.host_index);
            if (master != masters.end() && master->second == 0) {
                loose.push_back({.index = live.host_index, .bridge = live.bridge_index});
            }
        }
    }
    TRY(join_all(loose, shape.isolated, host));
    if (shape.big_tcp && !loose.empty()) {
        allow_big_packets(host, {bridge.index}); // only now, with a port, it can
    }
    return ok();
}

// They know their network by its bridge.
void BridgeNetworkState::join_shortcuts_again() {
    auto guard = members.lock();
    for (auto& [id, live] : guard->endpoints) {
        if (std::optional<ShortcutMember> member = std::exchange(live.shortcut, {})) {
            member->network = bridge.index;
            leave_shortcut(live.host_index);
            join_shortcut(live, *member);
        }
    }
}

} // namespace berth::network
