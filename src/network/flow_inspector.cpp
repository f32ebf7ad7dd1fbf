// SPDX-License-Identifier: Apache-2.0
// Connection tracking, routing, links, and what of the host must see each packet.
#include "network/flow_inspector.h"

#include "kernel/ip_forwarding.h"
#include "kernel/netlink_ipsec.h"
#include "kernel/netlink_socket.h"
#include "network/legacy_tables.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace berth::network {
namespace {

using kernel::FlowTuple;
using kernel::IpAddress;
using kernel::NetlinkSocket;
using kernel::RouteSocket;

constexpr std::string_view owner_prefix = "berth:"; // of the labels of engines' interfaces

FlowTuple turned_round(const FlowTuple& tuple) {
    return {
        .source = tuple.destination,
        .destination = tuple.source,
        .source_port = tuple.destination_port,
        .destination_port = tuple.source_port};
}

// fe80::/10, which no router forwards.
bool stays_on_its_link(const IpAddress& address) {
    return !address.is_v4() && address.bytes()[0] == 0xfe && (address.bytes()[1] & 0xc0U) == 0x80;
}

bool is_forwarded(const FlowTuple& sent) {
    if (sent.source.is_v4()) {
        return kernel::ipv4_forwarding().value_or(false);
    }
    return !stays_on_its_link(sent.source) && !stays_on_its_link(sent.destination) &&
           kernel::ipv6_forwarding().value_or(false);
}

// Of what is forwarded to it: an interface's IPv6 can have a smaller one than itself.
std::uint32_t mtu_of(const kernel::Link& link, const IpAddress& destination) {
    return destination.is_v4() ? link.mtu : std::min(link.mtu, link.mtu_v6);
}

} // namespace

Result<FlowInspector> FlowInspector::open() {
    NetlinkSocket connections = TRY(NetlinkSocket::open(kernel::netfilter_protocol));
    RouteSocket routes = TRY(RouteSocket::open());
    return FlowInspector(std::move(connections), std::move(routes));
}

void FlowInspector::begin_round() {
    links_.clear();
    passable_.clear();
}

// Whether nothing at the interface must see what it receives, and nothing sends it elsewhere. What
// nobody tells of when it changes: iptables-legacy too.
Result<bool> FlowInspector::may_pass_by(int uplink) {
    const auto known = passable_.find(uplink);
    if (known != passable_.end()) {
        return known->second;
    }
    const bool may = !TRY(routes_.has_ingress_queue(uplink)) &&
                     !TRY(kernel::has_ipsec_policies()) && !has_legacy_filter_table() &&
                     !has_legacy_packet_tables();
    passable_.emplace(uplink, may);
    return may;
}

Result<std::optional<kernel::Link>> FlowInspector::link(int index) {
    const auto known = links_.find(index);
    if (known != links_.end()) {
        return known->second;
    }
    std::optional<kernel::Link> found = TRY(routes_.find_link(index));
    links_.emplace(index, found);
    return found;
}

// nullopt where they are not ones that packets can be led between.
Result<std::optional<FlowInspector::Ends>>
FlowInspector::ends(const ShortcutMember& member, int uplink_index) {
    const auto uplink = TRY(link(uplink_index));
    const auto pair = TRY(link(member.host_index));
    if (!uplink || !pair || uplink->mac == kernel::MacAddress() ||
        uplink->alias.starts_with(owner_prefix)) {
        return std::nullopt;
    }
    if (uplink->kind == "bridge" && iptables_sees_bridged()) {
        return std::nullopt; // what comes in by it has been translated
    }
    const auto bridge = TRY(link(pair->master));
    if (!bridge || !TRY(may_pass_by(uplink->index))) {
        return std::nullopt;
    }
    return Ends{.uplink = *uplink, .pair = *pair, .bridge = *bridge};
}

Result<std::optional<Flow>>
FlowInspector::inspect(const ShortcutMember& member, const FlowTuple& sent) {
    if (std::ranges::count(member.addresses, sent.source) == 0 || !is_forwarded(sent)) {
        return std::nullopt;
    }
    const auto tracked = TRY(kernel::find_tcp_flow(connections_, sent));
    if (!tracked || !tracked->established || tracked->rewritten ||
        (tracked->original != sent && tracked->reply != sent)) {
        return std::nullopt;
    }
    const FlowTuple received = tracked->original == sent ? tracked->reply : tracked->original;
    const FlowTuple out = turned_round(received);
    // As the kernel finds it: before the source is translated.
    const auto route = TRY(routes_.route_of(
        {.input_index = member.network,
         .source = sent.source,
         .destination = out.destination,
         .source_port = sent.source_port,
         .destination_port = out.destination_port}));
    if (!route) {
        return std::nullopt;
    }
    const auto between = TRY(ends(member, route->output_index));
    if (!between) {
        return std::nullopt;
    }
    const int uplink = between->uplink.index;
    const std::uint32_t uplink_mtu = mtu_of(between->uplink, out.destination);
    Flow flow{.host_index = member.host_index, .uplink = uplink};
    flow.out.key = {.interface = member.host_index, .packets = sent};
    flow.out.way = {
        .packets = out,
        .interface = uplink,
        .mtu = route->mtu != 0 ? std::min(route->mtu, uplink_mtu) : uplink_mtu,
        .next_hop = route->gateway.value_or(out.destination)};
    flow.in.key = {.interface = uplink, .packets = received};
    flow.in.way = {
        .packets = turned_round(sent),
        .interface = member.host_index,
        .to_peer = true,
        .mtu = std::min(between->pair.mtu, mtu_of(between->bridge, sent.source)),
        .mac = member.mac,
        .sender_mac = between->bridge.mac};
    return flow;
}

Result<void> FlowInspector::let_skip_windows(const FlowTuple& sent) {
    return kernel::let_flow_skip_windows(connections_, sent);
}

} // namespace berth::network
