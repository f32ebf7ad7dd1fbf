// SPDX-License-Identifier: Apache-2.0
// Bridges and the host's settings for them.
#include "network/bridge.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "network/address_arithmetic.h"

#include <algorithm>
#include <cerrno>

namespace berth::network {
namespace {

using kernel::RouteBatch;
using kernel::RouteSocket;

constexpr std::uint8_t main_table = 254;

// Many hosts have it set, and in some sandboxes /proc/sys is read-only.
Result<void> ensure_sysctl(const std::string& path, std::string_view value) {
    const Result<std::string> now = read_file(path);
    if (now.ok() && trim(now.value()) == value) {
        return ok();
    }
    return write_existing(path, value);
}

// A host that forwards listens to router advertisements only where it is told to do so although it
// forwards (2): without that it would lose its own IPv6 default route.
Result<void> keep_router_advertisements() {
    const std::string folder = "/proc/sys/net/ipv6/conf/";
    for (const std::string& name : TRY(list_directory(folder))) {
        const std::string path = folder + name + "/accept_ra";
        const Result<std::string> now = read_file(path);
        if (now.ok() && trim(now.value()) == "1" && name != "default") {
            TRY(write_existing(path, "2"));
        }
    }
    return ok();
}

Result<void> prepare_host_v6(const std::string& bridge, bool is_ours) {
    const std::string folder = "/proc/sys/net/ipv6/conf/";
    if (!exists(folder + bridge)) {
        return Error(
            ErrorKind::Unavailable, "this host has no IPv6: a network cannot have it either");
    }
    const Result<std::string> forwarding = read_file(folder + "all/forwarding");
    if (!forwarding.ok() || trim(forwarding.value()) != "1") {
        TRY(keep_router_advertisements());
        TRY_CONTEXT(ensure_sysctl(folder + "all/forwarding", "1"), "enable IPv6 forwarding");
    }
    TRY(ensure_sysctl(folder + bridge + "/disable_ipv6", "0"));
    // What containers advertise is not for the host.
    TRY(ensure_sysctl(folder + bridge + "/accept_ra", "0"));
    if (is_ours) {
        // Who else should have the address of a MAC that is ours? The search takes a second or two
        // from the first container on, in which the host asks nobody for neighbors: what came from
        // other hosts meanwhile would wait.
        TRY(ensure_sysctl(folder + bridge + "/accept_dad", "0"));
    }
    return ensure_sysctl(folder + bridge + "/proxy_ndp", "0");
}

// Containers that are kept apart have isolated ports: the host is all that they can send to. It
// answers at once when one of them asks for another's address (RFC 3069), so that what they send
// each other passes the firewall, which lets linked ones through.
Result<void> stand_in_for_neighbors(const BridgeOptions& options) {
    const std::string folder = "/proc/sys/net/ipv4/";
    const std::string answers = folder + "conf/" + options.name + "/proxy_arp_pvlan";
    TRY_CONTEXT(
        ensure_sysctl(answers, options.inter_container ? "0" : "1"),
        "let " + options.name + " answer for containers that are kept apart");
    return options.inter_container
               ? ok()
               : ensure_sysctl(folder + "neigh/" + options.name + "/proxy_delay", "0");
}

Result<void> prepare_host(const BridgeOptions& options, bool is_ours) {
    if (options.subnet.length != 0) {
        TRY_CONTEXT(ensure_sysctl("/proc/sys/net/ipv4/ip_forward", "1"), "enable IP forwarding");
        // Published ports are reachable at 127.0.0.1: its packets may leave by this bridge.
        TRY_CONTEXT(
            ensure_sysctl("/proc/sys/net/ipv4/conf/" + options.name + "/route_localnet", "1"),
            "let " + options.name + " carry localhost's packets");
        TRY(stand_in_for_neighbors(options));
    }
    if (options.subnet_v6) {
        return prepare_host_v6(options.name, is_ours);
    }
    const std::string ipv6 = "/proc/sys/net/ipv6/conf/" + options.name + "/disable_ipv6";
    if (exists(ipv6)) {
        TRY(ensure_sysctl(ipv6, "1"));
    }
    return ok();
}

std::vector<IpPrefix> bridge_addresses(const BridgeOptions& options) {
    std::vector<IpPrefix> addresses;
    if (options.subnet.length != 0 && !options.inhibit_ipv4 &&
        options.gateway_mode != GatewayMode::Isolated) {
        addresses.push_back({*options.gateway, options.subnet.length});
    }
    if (options.subnet_v6 && options.gateway_mode_v6 != GatewayMode::Isolated) {
        addresses.push_back({*options.gateway_v6, options.subnet_v6->length});
    }
    return addresses;
}

// What an earlier engine gave the bridge and this one would not.
std::vector<IpPrefix>
foreign_addresses(int index, const std::vector<IpPrefix>& wanted, const HostLinks& found) {
    std::vector<IpPrefix> foreign;
    const auto present = found.addresses.find(index);
    if (present == found.addresses.end()) {
        return foreign;
    }
    for (const IpPrefix& address : present->second) {
        const bool is_link_local = !address.address.is_v4() && address.address.bytes()[0] == 0xfe;
        if (!is_link_local && std::find(wanted.begin(), wanted.end(), address) == wanted.end()) {
            foreign.push_back(address);
        }
    }
    return foreign;
}

MacAddress usual_mac(const BridgeOptions& options) {
    return options.gateway ? MacAddress::for_address(*options.gateway) : MacAddress::random();
}

bool is_known_error(int error_number, int known) {
    return error_number == 0 || error_number == known;
}

// Of the link of the family's default route; absent: there is none.
Result<std::optional<std::uint32_t>> way_out_mtu_of(kernel::IpFamily family, RouteSocket& host) {
    std::optional<kernel::Route> best;
    for (const kernel::Route& route : TRY(host.routes(family))) {
        const bool is_default = route.destination.length == 0 && route.table == main_table;
        if (is_default && route.output_index != 0 && (!best || route.metric < best->metric)) {
            best = route;
        }
    }
    if (!best) {
        return std::optional<std::uint32_t>();
    }
    const std::optional<kernel::Link> link = TRY(host.find_link(best->output_index));
    // The kernel's route to nowhere is by "lo".
    const bool is_way_out = link && link->mtu != 0 && link->name != "lo";
    return is_way_out ? std::optional(link->mtu) : std::nullopt;
}

} // namespace

Result<std::uint32_t> way_out_mtu(RouteSocket& host) {
    std::optional<std::uint32_t> smallest;
    for (const kernel::IpFamily family : {kernel::IpFamily::V4, kernel::IpFamily::V6}) {
        const std::optional<std::uint32_t> mtu = TRY(way_out_mtu_of(family, host));
        if (mtu) {
            smallest = std::min(*mtu, smallest.value_or(*mtu));
        }
    }
    return smallest.value_or(default_mtu);
}

// moby's libnetwork/drivers/bridge/bridge_linux.go (GetSkipGwAlloc).
bool has_usual_gateway(const BridgeOptions& options, kernel::IpFamily family) {
    if (family == kernel::IpFamily::V6) {
        return options.gateway_mode_v6 != GatewayMode::Isolated;
    }
    return options.gateway_mode != GatewayMode::Isolated &&
           !(options.inhibit_ipv4 && options.internal);
}

std::vector<Subnet> subnets_of(const BridgeOptions& options) {
    std::vector<Subnet> subnets;
    if (options.subnet.length != 0) {
        subnets.push_back(
            {.prefix = options.subnet, .gateway = options.gateway, .range = options.ip_range});
    }
    if (options.subnet_v6) {
        subnets.push_back(
            {.prefix = *options.subnet_v6,
             .gateway = options.gateway_v6,
             .range = options.ip_range_v6});
    }
    return subnets;
}

Result<BridgeOptions> resolve_bridge_options(BridgeOptions options, std::uint32_t way_out_mtu) {
    if (options.name.empty() || options.name.size() > longest_interface_name ||
        options.name.find_first_of("/ \t\n") != std::string::npos) {
        return invalid_argument("invalid bridge name: \"" + options.name + "\"");
    }
    if (options.subnet.length == 0 && !options.subnet_v6) {
        return invalid_argument("IPv4 or IPv6 must be enabled");
    }
    const auto resolve = [](IpPrefix& subnet,
                            std::optional<IpAddress>& gateway,
                            const std::optional<IpPrefix>& range,
                            bool has_usual) -> Result<void> {
        subnet = subnet.network();
        if (!gateway && has_usual) {
            gateway = usual_gateway(subnet, range);
        }
        if (gateway && !subnet.contains(*gateway)) {
            return invalid_argument("no matching subnet for gateway " + gateway->to_string());
        }
        return ok();
    };
    if (options.subnet.length != 0) {
        const bool has_usual = has_usual_gateway(options, kernel::IpFamily::V4);
        TRY(resolve(options.subnet, options.gateway, options.ip_range, has_usual));
    }
    if (options.subnet_v6) {
        const bool has_usual = has_usual_gateway(options, kernel::IpFamily::V6);
        TRY(resolve(*options.subnet_v6, options.gateway_v6, options.ip_range_v6, has_usual));
    }
    if (options.mtu == 0) {
        options.mtu = way_out_mtu;
    }
    if (options.subnet_v6 && options.mtu < smallest_ipv6_mtu) {
        return invalid_argument(
            "an IPv6 network needs an MTU of at least 1280, not " + std::to_string(options.mtu));
    }
    if (options.description.empty()) {
        options.description = options.name;
    }
    return options;
}

Result<HostBridge>
ensure_bridge(const BridgeOptions& options, const BridgeOrigin& origin, RouteSocket& host) {
    std::optional<kernel::Link> bridge = TRY(host.find_link(options.name));
    if (bridge && bridge->kind != "bridge") {
        return conflict("interface " + options.name + " exists and is not a bridge");
    }
    const bool is_ours = !bridge || bridge->alias == origin.owner;
    const bool is_left =
        bridge && is_ours; // by an earlier engine, for instance with other settings
    if (!bridge) {
        RouteBatch creation;
        creation.add_bridge(
            {.name = options.name,
             .mac = origin.mac.value_or(usual_mac(options)),
             .mtu = options.mtu});
        // In one message with the creation: no engine leaves a bridge that it does not know.
        creation.change_link(options.name, {.alias = origin.owner});
        TRY(host.execute(creation));
        bridge = TRY(host.find_link(options.name));
    }
    if (!bridge) {
        return internal_error("bridge " + options.name + " vanished while it was made");
    }
    TRY(prepare_host(options, is_ours));
    RouteBatch setup;
    setup.change_link(bridge->index, {.state = kernel::LinkState::Up, .mtu = options.mtu});
    const std::vector<IpPrefix> addresses = bridge_addresses(options);
    for (const IpPrefix& address : addresses) {
        setup.add_address(bridge->index, address);
    }
    if (is_left && origin.found != nullptr) {
        for (const IpPrefix& address : foreign_addresses(bridge->index, addresses, *origin.found)) {
            setup.delete_address(bridge->index, address);
        }
    }
    const std::vector<int> errors = TRY(host.execute_each(setup));
    for (std::size_t i = 0; i < errors.size(); ++i) {
        const int expected = i == 0 ? 0 : i <= addresses.size() ? EEXIST : EADDRNOTAVAIL;
        if (!is_known_error(errors[i], expected)) {
            return Error::from_errno(setup.messages().description(i), errors[i]);
        }
    }
    HostBridge result{.index = bridge->index, .ours = is_ours, .mac = bridge->mac};
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        if (errors[i + 1] == 0) {
            result.added.push_back(addresses[i]);
        }
    }
    return result;
}

void silence_bridge(const BridgeOptions& options, const HostBridge& bridge, RouteSocket& host) {
    RouteBatch removal;
    for (const IpPrefix& address : bridge.ours ? bridge_addresses(options) : bridge.added) {
        removal.delete_address(bridge.index, address);
    }
    const Result<std::vector<int>> errors = host.execute_each(removal);
    if (!errors.ok()) {
        log::debug("cannot take a bridge's addresses, ignoring", {{"bridge", options.name}});
    }
}

} // namespace berth::network
