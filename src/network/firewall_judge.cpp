// SPDX-License-Identifier: Apache-2.0
// The pair of interfaces. Without address resolution, a neighbor's MAC is the interface's own, so
// that both ends have the same one.
#include "network/firewall_judge.h"

#include "base/file.h"
#include "kernel/netlink_route.h"
#include "network/default_route.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::IpFamily;
using kernel::RouteBatch;
using kernel::RouteSocket;

// A first packet with data (UDP, TCP fast open) may be as large as loopback's.
constexpr std::uint32_t judge_mtu = 65535;
constexpr std::uint32_t judge_address = 0xa9fe4d01; // 169.254.77.1
constexpr std::uint32_t judge_neighbor = judge_address + 1;
constexpr std::uint32_t way_back_priority = 1000; // before the main table's 32766

IpAddress link_local(std::uint8_t last_byte) {
    std::array<std::uint8_t, 16> bytes{0xfe, 0x80};
    bytes[13] = 0x77;
    bytes[15] = last_byte;
    return IpAddress::from_bytes(bytes);
}

struct JudgeNames {
    std::string output;
    std::string input;
    std::uint32_t mark = 0;
};

JudgeNames names_of(const std::string& table) {
    constexpr char digits[] = "0123456789abcdef";
    std::string name = "judge-";
    const std::size_t hash = std::hash<std::string>()(table);
    for (int i = 0; i < 7; ++i) {
        name += digits[(hash >> (4 * i)) & 0xf];
    }
    return {
        .output = name + "o",
        .input = name + "i",
        .mark = 0x62000000 | (static_cast<std::uint32_t>(hash) & 0xffffff)};
}

// A check of a source's way (firewalld's IPv6_rpfilter, which is on unless it was turned off) asks
// for the interface that leads back there, and heeds the packet's mark. With the judge's mark
// everything is behind the judge. IPv4's own check is a sysctl: set_up().
kernel::MarkRule way_back(std::uint32_t mark) {
    return {.family = IpFamily::V6, .mark = mark, .table = mark, .priority = way_back_priority};
}

Result<void> add_way_back(RouteSocket& host, int input_index, std::uint32_t mark) {
    RouteBatch batch;
    kernel::Route route = interface_default_route(IpFamily::V6, input_index);
    route.table = mark;
    batch.replace_route(route);
    batch.add_rule(way_back(mark));
    for (const int error : TRY(host.execute_each(batch))) {
        if (error != 0 && error != EEXIST) {
            return Error::from_errno("make a way back for the mark of judged packets", error);
        }
    }
    return ok();
}

Result<void> turn_off_address_resolution(const std::string& interface) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        return errno_error("open a socket");
    }
    ifreq request{};
    std::memcpy(request.ifr_name, interface.data(), interface.size());
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) {
        return errno_error("read the flags of " + interface);
    }
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_NOARP);
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
        return errno_error("change the flags of " + interface);
    }
    return ok();
}

Result<void> set_up(RouteSocket& host, const JudgeNames& names, const kernel::MacAddress& mac) {
    for (const std::string& name : {names.output, names.input}) {
        const std::optional<kernel::Link> link = TRY(host.find_link(name));
        if (!link) {
            return internal_error("interface " + name + " vanished while it was made");
        }
        TRY(turn_off_address_resolution(name));
        RouteBatch batch;
        batch.change_link(link->index, {.mac = mac});
        batch.change_link(link->index, {.state = kernel::LinkState::Up});
        TRY(host.execute(batch));
        // An interface without an address of its own fails each check of a source's way; IPv6
        // knows no way to a neighbor without one.
        RouteBatch addresses;
        addresses.add_address(link->index, {IpAddress::from_v4(judge_address), 32});
        addresses.add_address(link->index, {link_local(name == names.output ? 1 : 3), 64});
        const std::vector<int> errors = TRY(host.execute_each(addresses));
        if (errors[0] != 0 && errors[0] != EEXIST) {
            return Error::from_errno("give " + name + " an address", errors[0]);
        }
        // A host without IPv6 has nobody to lead back there.
        const bool has_v6 = errors[1] == 0 || errors[1] == EEXIST;
        if (name == names.input && has_v6) {
            TRY(add_way_back(host, link->index, names.mark));
        }
    }
    // What comes in again has a source from anywhere: the strict check would want it to come in by
    // the interface that leads there.
    return write_existing("/proc/sys/net/ipv4/conf/" + names.input + "/rp_filter", "2");
}

} // namespace

Result<FirewallJudge> ensure_firewall_judge(const std::string& table) {
    const JudgeNames names = names_of(table);
    RouteSocket host = TRY(RouteSocket::open());
    const kernel::MacAddress mac{{2, 0x42, 0, 0, 0, 1}};
    if (!TRY(host.find_link(names.output))) {
        RouteBatch creation;
        creation.add_veth(
            {.name = names.output,
             .peer_name = names.input,
             .peer_netns = {},
             .mtu = judge_mtu,
             .peer_mac = mac});
        TRY_CONTEXT(host.execute(creation), "make interfaces for the host's firewall");
    }
    TRY_CONTEXT(set_up(host, names, mac), "make interfaces for the host's firewall");
    const std::optional<kernel::Link> output = TRY(host.find_link(names.output));
    if (!output) {
        return internal_error("interface " + names.output + " vanished while it was made");
    }
    return FirewallJudge{
        .output_index = output->index,
        .neighbor_v4 = IpAddress::from_v4(judge_neighbor),
        .neighbor_v6 = link_local(2),
        .input_interface = names.input,
        .mark = names.mark};
}

Result<void> remove_firewall_judge(const std::string& table) {
    RouteSocket host = TRY(RouteSocket::open());
    const JudgeNames names = names_of(table);
    const std::optional<kernel::Link> output = TRY(host.find_link(names.output));
    RouteBatch removal;
    removal.delete_rule(way_back(names.mark)); // is none without IPv6
    if (output) {
        removal.delete_link(output->index);
    }
    TRY(host.execute_each(removal));
    return ok();
}

} // namespace berth::network
