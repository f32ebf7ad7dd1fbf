// SPDX-License-Identifier: Apache-2.0
// rtnetlink requests. Layouts: include/uapi/linux/{rtnetlink,if_link,if_addr}.h.
#include "kernel/netlink_route.h"

#include "base/file.h"
#include "kernel/netlink_namespace.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::kernel {
namespace {

constexpr std::uint16_t create_new = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;

std::uint8_t address_family(const IpAddress& address) {
    return address.is_v4() ? AF_INET : AF_INET6;
}

std::string interface_text(int index) {
    return "interface " + std::to_string(index);
}

// Asking for an IPv6 option of a link is an error where the kernel has no IPv6.
bool kernel_has_ipv6() {
    static const bool present = exists("/proc/net/if_inet6");
    return present;
}

} // namespace

void RouteBatch::begin_link(
    std::uint16_t type,
    std::uint16_t flags,
    int index,
    std::string description,
    std::optional<LinkState> state) {
    ifinfomsg header{};
    header.ifi_family = AF_UNSPEC;
    header.ifi_index = index;
    if (state) {
        header.ifi_change = IFF_UP;
        header.ifi_flags = *state == LinkState::Up ? unsigned{IFF_UP} : 0U;
    }
    messages_.begin(type, flags, struct_bytes(header), std::move(description));
}

void RouteBatch::add_bridge(const BridgeLink& bridge) {
    begin_link(RTM_NEWLINK, create_new, 0, "create bridge " + bridge.name);
    messages_.put_string(IFLA_IFNAME, bridge.name);
    messages_.put_bytes(IFLA_ADDRESS, bridge.mac.bytes);
    messages_.put_u32(IFLA_MTU, bridge.mtu);
    messages_.begin_nested(IFLA_LINKINFO);
    messages_.put_string(IFLA_INFO_KIND, "bridge");
    messages_.end_nested();
}

void RouteBatch::add_veth(const VethPair& pair) {
    begin_link(RTM_NEWLINK, create_new, 0, "create veth pair " + pair.name);
    messages_.put_string(IFLA_IFNAME, pair.name);
    messages_.put_u32(IFLA_MTU, pair.mtu);
    if (pair.master != 0) {
        messages_.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(pair.master));
    }
    if (pair.gso_ipv4_max_size) {
        messages_.put_u32(gso_ipv4_max_size_attribute, *pair.gso_ipv4_max_size);
    }
    messages_.begin_nested(IFLA_LINKINFO);
    messages_.put_string(IFLA_INFO_KIND, "veth");
    messages_.begin_nested(IFLA_INFO_DATA);
    messages_.begin_nested(VETH_INFO_PEER);
    messages_.put_raw(struct_bytes(ifinfomsg{}));
    messages_.put_string(IFLA_IFNAME, pair.peer_name);
    messages_.put_u32(IFLA_MTU, pair.mtu);
    if (pair.peer_mac) {
        messages_.put_bytes(IFLA_ADDRESS, pair.peer_mac->bytes);
    }
    if (pair.peer_netns) {
        messages_.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(pair.peer_netns->get()));
    }
    messages_.end_nested();
    messages_.end_nested();
    messages_.end_nested();
}

void RouteBatch::add_link(const NewLink& link) {
    begin_link(RTM_NEWLINK, create_new, 0, "create " + link.kind + " " + link.name);
    messages_.put_string(IFLA_IFNAME, link.name);
    if (link.parent != 0) {
        messages_.put_u32(IFLA_LINK, static_cast<std::uint32_t>(link.parent));
    }
    if (link.netns) {
        messages_.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(link.netns->get()));
    }
    if (link.mtu != 0) {
        messages_.put_u32(IFLA_MTU, link.mtu);
    }
    if (link.mac) {
        messages_.put_bytes(IFLA_ADDRESS, link.mac->bytes);
    }
    messages_.begin_nested(IFLA_LINKINFO);
    messages_.put_string(IFLA_INFO_KIND, link.kind);
    messages_.begin_nested(IFLA_INFO_DATA);
    if (link.macvlan_mode) {
        messages_.put_u32(IFLA_MACVLAN_MODE, *link.macvlan_mode);
    }
    if (link.ipvlan_mode) {
        messages_.put_u16(IFLA_IPVLAN_MODE, *link.ipvlan_mode);
        messages_.put_u16(IFLA_IPVLAN_FLAGS, link.ipvlan_flags);
    }
    if (link.vlan_id) {
        messages_.put_u16(IFLA_VLAN_ID, *link.vlan_id);
    }
    messages_.end_nested();
    messages_.end_nested();
}

void RouteBatch::change_link(int index, const LinkChange& change) {
    begin_link(RTM_NEWLINK, NLM_F_ACK, index, "change " + interface_text(index), change.state);
    put_change(change);
}

void RouteBatch::change_link(const std::string& name, const LinkChange& change) {
    begin_link(RTM_NEWLINK, NLM_F_ACK, 0, "change interface " + name, change.state);
    messages_.put_string(IFLA_IFNAME, name);
    put_change(change);
}

void RouteBatch::put_change(const LinkChange& change) {
    if (change.mtu) {
        messages_.put_u32(IFLA_MTU, *change.mtu);
    }
    if (change.mac) {
        messages_.put_bytes(IFLA_ADDRESS, change.mac->bytes);
    }
    if (change.master) {
        messages_.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(*change.master));
    }
    if (change.name) {
        messages_.put_string(IFLA_IFNAME, *change.name);
    }
    if (change.netns) {
        messages_.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(change.netns->get()));
    }
    if (change.group) {
        messages_.put_u32(IFLA_GROUP, *change.group);
    }
    if (change.alias) {
        messages_.put_string(IFLA_IFALIAS, *change.alias);
    }
    if (change.gso_ipv4_max_size) {
        messages_.put_u32(gso_ipv4_max_size_attribute, *change.gso_ipv4_max_size);
    }
    if (change.without_link_local && kernel_has_ipv6()) {
        messages_.begin_nested(IFLA_AF_SPEC);
        messages_.begin_nested(AF_INET6);
        messages_.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        messages_.end_nested();
        messages_.end_nested();
    }
}

void RouteBatch::change_bridge_port(int index, const BridgePortChange& change) {
    // The bridge's own request, not RTM_NEWLINK with the port's options: that one announces a
    // change of the link, upon which the bridge enables a port that has just been disabled.
    ifinfomsg header{};
    header.ifi_family = AF_BRIDGE;
    header.ifi_index = index;
    messages_.begin(
        RTM_SETLINK,
        NLM_F_ACK,
        struct_bytes(header),
        "change the bridge port of " + interface_text(index));
    messages_.begin_nested(IFLA_PROTINFO);
    if (change.hairpin) {
        messages_.put_u8(IFLA_BRPORT_MODE, *change.hairpin ? 1 : 0);
    }
    if (change.isolated) {
        messages_.put_u8(IFLA_BRPORT_ISOLATED, *change.isolated ? 1 : 0);
    }
    if (change.silence) {
        // Any announcement enables the port again; without learning and flooding it hears nothing
        // even then.
        messages_.put_u8(IFLA_BRPORT_LEARNING, 0);
        messages_.put_u8(IFLA_BRPORT_UNICAST_FLOOD, 0);
        messages_.put_u8(IFLA_BRPORT_MCAST_FLOOD, 0);
        messages_.put_u8(IFLA_BRPORT_BCAST_FLOOD, 0);
        messages_.put_bytes(IFLA_BRPORT_FLUSH, {});
        messages_.put_u8(IFLA_BRPORT_STATE, BR_STATE_DISABLED);
    }
    messages_.end_nested();
}

void RouteBatch::delete_link(int index) {
    begin_link(RTM_DELLINK, NLM_F_ACK, index, "delete " + interface_text(index));
}

void RouteBatch::delete_group(std::uint32_t group) {
    begin_link(RTM_DELLINK, NLM_F_ACK, 0, "delete interface group " + std::to_string(group));
    messages_.put_u32(IFLA_GROUP, group);
}

void RouteBatch::add_address(int index, const IpPrefix& address) {
    ifaddrmsg header{};
    header.ifa_family = address_family(address.address);
    header.ifa_prefixlen = address.length;
    // Docker's container addresses skip duplicate address detection: the allocator knows better.
    header.ifa_flags = address.address.is_v4() ? 0 : IFA_F_NODAD;
    header.ifa_index = static_cast<std::uint32_t>(index);
    messages_.begin(
        RTM_NEWADDR,
        create_new,
        struct_bytes(header),
        "add address " + address.to_string() + " to " + interface_text(index));
    messages_.put_bytes(IFA_LOCAL, address.address.bytes());
    messages_.put_bytes(IFA_ADDRESS, address.address.bytes());
    if (address.address.is_v4() && address.length < 31) {
        const std::uint32_t host_bits = 0xffffffffU >> address.length;
        const IpAddress broadcast = IpAddress::from_v4(address.address.v4() | host_bits);
        messages_.put_bytes(IFA_BROADCAST, broadcast.bytes());
    }
}

void RouteBatch::delete_address(int index, const IpPrefix& address) {
    ifaddrmsg header{};
    header.ifa_family = address_family(address.address);
    header.ifa_prefixlen = address.length;
    header.ifa_index = static_cast<std::uint32_t>(index);
    messages_.begin(
        RTM_DELADDR,
        NLM_F_ACK,
        struct_bytes(header),
        "delete address " + address.to_string() + " of " + interface_text(index));
    messages_.put_bytes(IFA_LOCAL, address.address.bytes());
}

void RouteBatch::add_route(const Route& route) {
    begin_route(RTM_NEWROUTE, create_new, route, "add");
}

void RouteBatch::replace_route(const Route& route) {
    begin_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, route, "replace");
}

void RouteBatch::delete_route(const Route& route) {
    begin_route(RTM_DELROUTE, NLM_F_ACK, route, "delete");
}

void RouteBatch::begin_route(
    std::uint16_t type, std::uint16_t flags, const Route& route, std::string_view what) {
    rtmsg header{};
    header.rtm_family = address_family(route.destination.address);
    if (route.destination.length == 0 && route.gateway) {
        header.rtm_family = address_family(*route.gateway);
    }
    header.rtm_dst_len = route.destination.length;
    const std::uint32_t table = route.table == 0 ? std::uint32_t{RT_TABLE_MAIN} : route.table;
    header.rtm_protocol = RTPROT_BOOT;
    header.rtm_scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    header.rtm_type = RTN_UNICAST;
    messages_.begin(
        type,
        flags,
        struct_bytes(header),
        std::string(what) + " route to " + route.destination.to_string());
    messages_.put_u32(RTA_TABLE, table);
    if (route.destination.length != 0) {
        messages_.put_bytes(RTA_DST, route.destination.address.bytes());
    }
    if (route.gateway) {
        messages_.put_bytes(RTA_GATEWAY, route.gateway->bytes());
    }
    if (route.output_index != 0) {
        messages_.put_u32(RTA_OIF, static_cast<std::uint32_t>(route.output_index));
    }
    if (route.metric != 0) {
        messages_.put_u32(RTA_PRIORITY, route.metric);
    }
}

void RouteBatch::add_rule(const MarkRule& rule) {
    begin_rule(RTM_NEWRULE, create_new, rule, "add");
}

void RouteBatch::delete_rule(const MarkRule& rule) {
    begin_rule(RTM_DELRULE, NLM_F_ACK, rule, "delete");
}

void RouteBatch::begin_rule(
    std::uint16_t type, std::uint16_t flags, const MarkRule& rule, std::string_view what) {
    fib_rule_hdr header{};
    header.family = rule.family == IpFamily::V4 ? AF_INET : AF_INET6;
    header.action = FR_ACT_TO_TBL;
    messages_.begin(
        type,
        flags,
        struct_bytes(header),
        std::string(what) + " rule for mark " + std::to_string(rule.mark));
    messages_.put_u32(FRA_PRIORITY, rule.priority);
    messages_.put_u32(FRA_FWMARK, rule.mark);
    messages_.put_u32(FRA_FWMASK, UINT32_MAX);
    messages_.put_u32(FRA_TABLE, rule.table);
    messages_.put_u8(FRA_PROTOCOL, RTPROT_KERNEL);
}

Result<RouteSocket> RouteSocket::open() {
    return RouteSocket(TRY(NetlinkSocket::open(route_protocol)));
}

Result<RouteSocket> RouteSocket::open_in(FdRef netns) {
    const auto scope = TRY(NetworkNamespaceScope::enter(netns));
    return open();
}

Result<std::vector<int>> RouteSocket::execute_each(RouteBatch& batch) {
    std::vector<int> errors(batch.messages().message_count(), EIO);
    for (const NetlinkReply& reply : TRY(socket_.exchange(batch.messages()))) {
        if (reply.sequence >= 1 && reply.sequence <= errors.size()) {
            errors[reply.sequence - 1] = reply.error_number;
        }
    }
    return errors;
}

Result<std::optional<Link>> RouteSocket::find_link(const std::string& name) {
    NetlinkBatch request;
    ifinfomsg header{};
    request.begin(RTM_GETLINK, 0, struct_bytes(header), "look up interface " + name);
    request.put_string(IFLA_IFNAME, name);
    request.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return find_link(request);
}

Result<std::optional<Link>> RouteSocket::find_link(int index) {
    NetlinkBatch request;
    ifinfomsg header{};
    header.ifi_index = index;
    request.begin(
        RTM_GETLINK, 0, struct_bytes(header), "look up interface " + std::to_string(index));
    request.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return find_link(request);
}

Result<std::optional<Link>> RouteSocket::find_link(NetlinkBatch& request) {
    std::optional<Link> link;
    Result<void> answered =
        socket_.query(request, [&](const nlmsghdr& message) { link = parse_link(message); });
    if (!answered.ok() && answered.error().error_number() != ENODEV) {
        return std::move(answered).error();
    }
    return link;
}

Result<std::vector<Link>> RouteSocket::links() {
    NetlinkBatch request;
    ifinfomsg header{};
    request.begin(RTM_GETLINK, NLM_F_DUMP, struct_bytes(header), "list interfaces");
    request.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    std::vector<Link> links;
    TRY(socket_.dump(
        request,
        [&] { links.clear(); },
        [&](const nlmsghdr& message) {
            if (std::optional<Link> link = parse_link(message)) {
                links.push_back(std::move(*link));
            }
        }));
    return links;
}

Result<std::vector<LinkAddress>> RouteSocket::addresses() {
    NetlinkBatch request;
    ifaddrmsg header{};
    request.begin(RTM_GETADDR, NLM_F_DUMP, struct_bytes(header), "list addresses");
    std::vector<LinkAddress> addresses;
    TRY(socket_.dump(
        request,
        [&] { addresses.clear(); },
        [&](const nlmsghdr& message) {
            if (std::optional<LinkAddress> address = parse_address(message)) {
                addresses.push_back(*address);
            }
        }));
    return addresses;
}

Result<std::vector<Route>> RouteSocket::routes(IpFamily family) {
    NetlinkBatch request;
    rtmsg header{};
    header.rtm_family = family == IpFamily::V4 ? AF_INET : AF_INET6;
    request.begin(RTM_GETROUTE, NLM_F_DUMP, struct_bytes(header), "list routes");
    std::vector<Route> routes;
    TRY(socket_.dump(
        request,
        [&] { routes.clear(); },
        [&](const nlmsghdr& message) {
            if (std::optional<Route> route = parse_route(message)) {
                routes.push_back(*route);
            }
        }));
    return routes;
}

Result<std::optional<Route>> RouteSocket::route_of(const ForwardedPacket& packet) {
    NetlinkBatch request;
    rtmsg header{};
    header.rtm_family = address_family(packet.destination);
    header.rtm_dst_len = packet.destination.is_v4() ? 32 : 128;
    header.rtm_src_len = header.rtm_dst_len;
    if (!packet.destination.is_v4()) {
        // The route as it stands in the table. Which of several next hops a packet takes hangs on
        // its flow label too, which is not known here: such routes are to be told by.
        header.rtm_flags = RTM_F_FIB_MATCH;
    }
    request.begin(
        RTM_GETROUTE,
        0,
        struct_bytes(header),
        "look up the route from " + packet.source.to_string() + " to " +
            packet.destination.to_string());
    request.put_bytes(RTA_SRC, packet.source.bytes());
    request.put_bytes(RTA_DST, packet.destination.bytes());
    request.put_u32(RTA_IIF, static_cast<std::uint32_t>(packet.input_index));
    request.put_u8(RTA_IP_PROTO, IPPROTO_TCP);
    request.put_u16(RTA_SPORT, htons(packet.source_port));
    request.put_u16(RTA_DPORT, htons(packet.destination_port));
    std::optional<Route> route;
    TRY(socket_.query(request, [&](const nlmsghdr& message) {
        route = has_unusual_next_hop(message) ? std::nullopt : parse_route(message);
    }));
    return route;
}

Result<bool> RouteSocket::has_ingress_queue(int index) {
    NetlinkBatch request;
    tcmsg header{};
    header.tcm_ifindex = index;
    request.begin(
        RTM_GETQDISC,
        NLM_F_DUMP,
        struct_bytes(header),
        "list the queues of interface " + std::to_string(index));
    bool found = false;
    TRY(socket_.dump(
        request,
        [&] { found = false; },
        [&](const nlmsghdr& message) { found = found || is_ingress_queue(message, index); }));
    return found;
}

} // namespace berth::kernel
