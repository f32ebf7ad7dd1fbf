// SPDX-License-Identifier: Apache-2.0
// Links, addresses and routes (rtnetlink) as typed requests. Requests gather in a RouteBatch and go
// to the kernel in one system call; the kernel handles them in order and goes on after an error, so
// a caller that gets one deletes the link it was making.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/netlink_address.h"
#include "kernel/netlink_message.h"
#include "kernel/netlink_socket.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::kernel {

// IFLA_GSO_IPV4_MAX_SIZE, which older headers do not have.
constexpr std::uint16_t gso_ipv4_max_size_attribute = 63;

struct Link {
    int index = 0;
    std::string name;
    std::string kind;         // "bridge", "veth"; empty for hardware and lo
    bool up = false;          // an administrator wants it to be
    bool operational = false; // it is: the other end is up too
    bool forwarding = false;  // as a bridge's port
    std::uint32_t mtu = 0;
    std::uint32_t mtu_v6 = 0; // of IPv6, which may have a smaller one; 0: the link has no IPv6
    MacAddress mac;
    int master = 0;
    std::string alias; // a label that its maker has put on it
    // How large an IPv4 packet it takes in one piece, to be segmented behind; 0: the kernel knows
    // no such bound (before 6.3).
    std::uint32_t gso_ipv4_max_size = 0;
};

struct LinkAddress {
    int index = 0;
    IpPrefix address;
};

struct Route {
    IpPrefix destination; // length 0: the default route
    std::optional<IpAddress> gateway;
    int output_index = 0;
    std::uint32_t metric = 0;
    std::uint32_t table = 0; // 254 is main; 0, in a request: that one
    std::uint32_t mtu = 0;   // of an answer: the route's own; 0: it has none
};

// All that routing looks at, in rules (ip-rule(8)) too. TCP.
struct ForwardedPacket {
    int input_index = 0;
    IpAddress source;
    IpAddress destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
};

// Which table says where packets with this mark go: ip-rule(8).
struct MarkRule {
    IpFamily family = IpFamily::V4;
    std::uint32_t mark = 0;
    std::uint32_t table = 0;
    std::uint32_t priority = 0; // lower ones are asked first
};

struct BridgeLink {
    std::string name;
    MacAddress mac; // set, so that it does not change with the ports
    std::uint32_t mtu = 1500;
};

struct VethPair {
    std::string name;
    std::string peer_name;
    // The peer is made in this namespace directly; absent: in the socket's own.
    std::optional<FdRef> peer_netns;
    std::uint32_t mtu = 1500;
    int master = 0; // of the near end
    std::optional<MacAddress> peer_mac;
    std::optional<std::uint32_t> gso_ipv4_max_size{}; // of the near end; as of LinkChange
};

// A link of a kind that has a parent, or stands alone ("dummy").
struct NewLink {
    std::string name;
    std::string kind; // "macvlan", "ipvlan", "vlan", "dummy"
    int parent = 0;
    std::optional<FdRef> netns; // it is made there; the parent is in the socket's own
    std::uint32_t mtu = 0;      // 0: as the kernel has it
    std::optional<MacAddress> mac;
    std::optional<std::uint32_t> macvlan_mode; // MACVLAN_MODE_*
    std::optional<std::uint16_t> ipvlan_mode;  // IPVLAN_MODE_*
    std::uint16_t ipvlan_flags = 0;            // IPVLAN_F_*
    std::optional<std::uint16_t> vlan_id;
};

enum class LinkState : std::uint8_t { Down, Up };

// What changes; the rest stays.
struct LinkChange {
    std::optional<LinkState> state;
    std::optional<std::uint32_t> mtu;
    std::optional<MacAddress> mac;
    std::optional<int> master; // 0: none
    std::optional<std::string> name;
    std::optional<FdRef> netns;
    std::optional<std::uint32_t> group;
    std::optional<std::string> alias;
    // Left alone by a kernel that does not know it (before 6.3). EINVAL when it is more than the
    // device can take; of a bridge without ports that is 65536.
    std::optional<std::uint32_t> gso_ipv4_max_size;
    // No link-local IPv6 address: a bridge's ports need none. An error where the link has no IPv6
    // at all: with an MTU below 1280.
    bool without_link_local = false;
};

// Options of a bridge's port. A separate request: the link must be enslaved before.
struct BridgePortChange {
    std::optional<bool> hairpin;  // frames may go back where they came from
    std::optional<bool> isolated; // no frames between isolated ports
    // Nothing goes out to the port or comes in any more, at once. Unlike taking the link down or
    // off the bridge this does not wait for a grace period.
    bool silence = false;
};

class RouteBatch {
  public:
    void add_bridge(const BridgeLink& bridge);
    void add_veth(const VethPair& pair);
    void add_link(const NewLink& link);
    void change_link(int index, const LinkChange& change);
    // Of a link that an earlier request of this batch makes: its index is not known yet.
    void change_link(const std::string& name, const LinkChange& change);
    void change_bridge_port(int index, const BridgePortChange& change);
    void delete_link(int index);
    // All links of the group with one wait for the kernel's grace period; ENODEV when it is empty.
    void delete_group(std::uint32_t group);
    void add_address(int index, const IpPrefix& address); // EEXIST when it is there
    void delete_address(int index, const IpPrefix& address);
    void add_route(const Route& route);
    // In place of the one to the same destination, if there is one.
    void replace_route(const Route& route);
    void delete_route(const Route& route); // ESRCH when there is none
    // As the kernel's own, which systemd-networkd leaves alone.
    void add_rule(const MarkRule& rule);    // EEXIST when it is there
    void delete_rule(const MarkRule& rule); // ENOENT when there is none

    NetlinkBatch& messages() { return messages_; }

  private:
    void begin_link(
        std::uint16_t type,
        std::uint16_t flags,
        int index,
        std::string description,
        std::optional<LinkState> state = std::nullopt);
    void put_change(const LinkChange& change);
    void
    begin_route(std::uint16_t type, std::uint16_t flags, const Route& route, std::string_view what);
    void begin_rule(
        std::uint16_t type, std::uint16_t flags, const MarkRule& rule, std::string_view what);

    NetlinkBatch messages_;
};

// Not thread-safe.
class RouteSocket {
  public:
    // In the calling thread's network namespace, where it stays.
    static Result<RouteSocket> open();
    // In another one.
    static Result<RouteSocket> open_in(FdRef netns);

    // Carries out all requests; the first error is returned.
    Result<void> execute(RouteBatch& batch) { return socket_.execute(batch.messages()); }

    // The same, with each request's errno (0: done), in order.
    Result<std::vector<int>> execute_each(RouteBatch& batch);

    // nullopt when there is none.
    Result<std::optional<Link>> find_link(const std::string& name);
    Result<std::optional<Link>> find_link(int index);
    Result<std::vector<Link>> links();
    Result<std::vector<LinkAddress>> addresses();
    Result<std::vector<Route>> routes(IpFamily family);
    // By which packets that look so leave. nullopt: by none, or they are this host's own, or by
    // more than an interface and a neighbor of their family: has_unusual_next_hop(). The error
    // tells how they are refused.
    Result<std::optional<Route>> route_of(const ForwardedPacket& packet);
    // Whether somebody has put what polices or filters (ingress, clsact) at what it receives. Lists
    // the queues of all: the kernel tells of a single one to those who listen for changes only.
    Result<bool> has_ingress_queue(int index);

  private:
    explicit RouteSocket(NetlinkSocket socket)
        : socket_(std::move(socket)) {}

    Result<std::optional<Link>> find_link(NetlinkBatch& request);

    NetlinkSocket socket_;
};

// The rtnetlink answers, exposed for fuzzing: nullopt for anything that is not such a message.
std::optional<Link> parse_link(const nlmsghdr& header);
std::optional<LinkAddress> parse_address(const nlmsghdr& header);
std::optional<Route> parse_route(const nlmsghdr& header);
// IPv4 by a neighbor of IPv6, in a tunnel without an interface, or by several in turn.
bool has_unusual_next_hop(const nlmsghdr& header);
bool is_ingress_queue(const nlmsghdr& header, int index);

} // namespace berth::kernel
