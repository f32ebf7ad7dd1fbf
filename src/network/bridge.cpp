// SPDX-License-Identifier: Apache-2.0
// Bridges and the host's settings for them.
#include "network/bridge.h"

#include "base/file.h"
#include "base/strings.h"

#include <algorithm>
#include <cerrno>

namespace berth::network {
namespace {

using kernel::RouteBatch;
using kernel::RouteSocket;

constexpr std::uint32_t default_mtu = 1500;
constexpr std::size_t longest_interface_name = 15;
constexpr std::uint8_t main_table = 254;

// moby's daemon/libnetwork/ipamutils: the default local address pools.
struct SubnetPool {
    std::uint32_t first;
    std::uint8_t pool_length;
    std::uint8_t subnet_length;
};

constexpr SubnetPool default_pools[] = {
    {0xac110000, 16, 16}, // 172.17.0.0/16
    {0xac120000, 16, 16}, // 172.18.0.0/16
    {0xac130000, 16, 16}, // 172.19.0.0/16
    {0xac140000, 14, 16}, // 172.20.0.0/14
    {0xac180000, 14, 16}, // 172.24.0.0/14
    {0xac1c0000, 14, 16}, // 172.28.0.0/14
    {0xc0a80000, 16, 20}, // 192.168.0.0/16
};

Result<std::uint32_t> way_out_mtu(RouteSocket& host) {
    std::optional<kernel::Route> best;
    for (const kernel::Route& route : TRY(host.routes(kernel::IpFamily::V4))) {
        const bool is_default = route.destination.length == 0 && route.table == main_table;
        if (is_default && route.output_index != 0 && (!best || route.metric < best->metric)) {
            best = route;
        }
    }
    if (!best) {
        return default_mtu;
    }
    const std::optional<kernel::Link> link = TRY(host.find_link(best->output_index));
    return link && link->mtu != 0 ? link->mtu : default_mtu;
}

// Many hosts have it set, and in some sandboxes /proc/sys is read-only.
Result<void> ensure_sysctl(const std::string& path, std::string_view value) {
    const Result<std::string> now = read_file(path);
    if (now.ok() && trim(now.value()) == value) {
        return ok();
    }
    return write_existing(path, value);
}

Result<void> prepare_host(const std::string& bridge) {
    TRY_CONTEXT(ensure_sysctl("/proc/sys/net/ipv4/ip_forward", "1"), "enable IP forwarding");
    // Published ports are reachable at 127.0.0.1: its packets may leave by this bridge.
    TRY_CONTEXT(
        ensure_sysctl("/proc/sys/net/ipv4/conf/" + bridge + "/route_localnet", "1"),
        "let " + bridge + " carry localhost's packets");
    const std::string ipv6 = "/proc/sys/net/ipv6/conf/" + bridge + "/disable_ipv6";
    if (exists(ipv6)) {
        TRY(ensure_sysctl(ipv6, "1"));
    }
    return ok();
}

bool is_known_error(int error_number, int known) {
    return error_number == 0 || error_number == known;
}

} // namespace

Result<BridgeOptions> resolve_bridge_options(BridgeOptions options, RouteSocket& host) {
    if (options.name.empty() || options.name.size() > longest_interface_name ||
        options.name.find_first_of("/ \t\n") != std::string::npos) {
        return invalid_argument("invalid bridge name: \"" + options.name + "\"");
    }
    if (options.subnet_v6) {
        return not_implemented("IPv6 networks are not supported");
    }
    options.subnet = options.subnet.network();
    if (!options.gateway) {
        options.gateway = IpAddress::from_v4(options.subnet.address.v4() + 1);
    }
    if (!options.subnet.contains(*options.gateway)) {
        return invalid_argument("no matching subnet for gateway " + options.gateway->to_string());
    }
    if (options.mtu == 0) {
        options.mtu = TRY(way_out_mtu(host));
    }
    return options;
}

Result<int> ensure_bridge(const BridgeOptions& options, RouteSocket& host) {
    std::optional<kernel::Link> bridge = TRY(host.find_link(options.name));
    if (bridge && bridge->kind != "bridge") {
        return conflict("interface " + options.name + " exists and is not a bridge");
    }
    if (!bridge) {
        RouteBatch creation;
        creation.add_bridge(
            {.name = options.name,
             .mac = MacAddress::for_address(*options.gateway),
             .mtu = options.mtu});
        TRY(host.execute(creation));
        bridge = TRY(host.find_link(options.name));
    }
    if (!bridge) {
        return internal_error("bridge " + options.name + " vanished while it was made");
    }
    TRY(prepare_host(options.name));
    RouteBatch setup;
    setup.add_address(bridge->index, {*options.gateway, options.subnet.length});
    setup.change_link(bridge->index, {.state = kernel::LinkState::Up, .mtu = options.mtu});
    const std::vector<int> errors = TRY(host.execute_each(setup));
    if (!is_known_error(errors[0], EEXIST)) {
        return Error::from_errno(setup.messages().description(0), errors[0]);
    }
    if (errors[1] != 0) {
        return Error::from_errno("bring up bridge " + options.name, errors[1]);
    }
    return bridge->index;
}

Result<std::vector<int>>
stale_ports(int bridge_index, const std::set<std::string>& known, RouteSocket& host) {
    std::vector<int> stale;
    for (const kernel::Link& link : TRY(host.links())) {
        // Only what an engine makes: an administrator's own port on the bridge stays.
        if (link.master == bridge_index && link.kind == "veth" && link.name.starts_with("veth") &&
            !known.contains(link.name)) {
            stale.push_back(link.index);
        }
    }
    return stale;
}

Result<IpPrefix> pick_free_subnet(const std::vector<IpPrefix>& taken, RouteSocket& host) {
    std::vector<IpPrefix> occupied = taken;
    for (const kernel::Route& route : TRY(host.routes(kernel::IpFamily::V4))) {
        if (route.destination.length != 0) {
            occupied.push_back(route.destination);
        }
    }
    for (const SubnetPool& pool : default_pools) {
        const std::uint32_t count = 1U << (pool.subnet_length - pool.pool_length);
        for (std::uint32_t i = 0; i < count; ++i) {
            const IpPrefix candidate{
                IpAddress::from_v4(pool.first + (i << (32 - pool.subnet_length))),
                pool.subnet_length};
            const bool free =
                std::none_of(occupied.begin(), occupied.end(), [&](const IpPrefix& other) {
                    return other.overlaps(candidate);
                });
            if (free) {
                return candidate;
            }
        }
    }
    return Error(
        ErrorKind::ResourceExhausted, "all predefined address pools have been fully subnetted");
}

} // namespace berth::network
