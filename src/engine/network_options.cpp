// SPDX-License-Identifier: Apache-2.0
// After moby's api/types/network/ipam.go and libnetwork/drivers/bridge/bridge_linux.go.
#include "engine/network_options.h"

#include "base/strings.h"
#include "engine/daemon_options.h"
#include "network/address_arithmetic.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace berth::engine {
namespace {

using kernel::IpAddress;
using kernel::IpPrefix;
using network::GatewayMode;

constexpr std::size_t longest_interface_prefix =
    network::longest_interface_name - 3;   // of "eth" in eth999
constexpr std::uint32_t smallest_mtu = 68; // RFC 791; the kernel's own for interfaces, too
constexpr std::uint32_t largest_mtu = 65535;

constexpr std::size_t bridge_id_length = 12;

constexpr std::string_view gateway_mode_v4_option = "com.docker.network.bridge.gateway_mode_ipv4";
constexpr std::string_view gateway_mode_v6_option = "com.docker.network.bridge.gateway_mode_ipv6";

// Auxiliary addresses of these names are the way out of a bridge network's containers.
constexpr std::string_view default_gateway_v4 = "DefaultGatewayIPv4";
constexpr std::string_view default_gateway_v6 = "DefaultGatewayIPv6";

std::string family_name(const IpAddress& address) {
    return address.is_v4() ? "IPv4" : "IPv6";
}

bool is_mapped_v4(const IpAddress& address) {
    static const IpPrefix mapped = IpPrefix::parse("::ffff:0:0/96").value();
    return !address.is_v4() && mapped.contains(address);
}

// What is wrong with an address within the subnet; empty: nothing.
std::string address_problem(const std::string& text, const IpPrefix& subnet) {
    if (text.empty()) {
        return {};
    }
    const auto address = IpAddress::parse(text);
    if (!address.ok()) {
        return "invalid address";
    }
    if (address->family() != subnet.address.family()) {
        return "parent subnet is an " + family_name(subnet.address) + " block";
    }
    if (!subnet.contains(*address)) {
        return "parent subnet " + subnet.to_string() + " doesn't contain this address";
    }
    return {};
}

void check_range(
    const std::string& text, const IpPrefix& subnet, std::vector<std::string>& problems) {
    if (text.empty()) {
        return;
    }
    const std::string start = "invalid ip-range " + text + ": ";
    const auto range = IpPrefix::parse(text);
    if (!range.ok()) {
        problems.push_back(start + "invalid CIDR block notation");
        return;
    }
    if (range->address.family() != subnet.address.family()) {
        problems.push_back(start + "parent subnet is an " + family_name(subnet.address) + " block");
        return;
    }
    if (range->length < subnet.length) {
        problems.push_back(
            start + "CIDR block is bigger than its parent subnet " + subnet.to_string());
    }
    if (*range != range->network()) {
        problems.push_back(start + "it should be " + range->network().to_string());
    }
    if (!subnet.overlaps(*range)) {
        problems.push_back(
            start + "parent subnet " + subnet.to_string() + " doesn't contain ip-range");
    }
}

void check_pool(const IpamPool& pool, bool enable_ipv6, std::vector<std::string>& problems) {
    const auto subnet = IpPrefix::parse(pool.subnet);
    if (!subnet.ok()) {
        problems.push_back("invalid subnet " + pool.subnet + ": invalid CIDR block notation");
        return;
    }
    if (is_mapped_v4(subnet->address)) {
        problems.push_back("invalid subnet " + pool.subnet + ": it is an IPv4-mapped block");
        return;
    }
    if (!enable_ipv6 && !subnet->address.is_v4()) {
        return;
    }
    if (*subnet != subnet->network()) {
        problems.push_back(
            "invalid subnet " + pool.subnet + ": it should be " + subnet->network().to_string());
    }
    check_range(pool.ip_range, *subnet, problems);
    if (std::string problem = address_problem(pool.gateway, *subnet); !problem.empty()) {
        problems.push_back("invalid gateway " + pool.gateway + ": " + problem);
    }
    for (const auto& [name, address] : pool.aux_addresses) {
        if (std::string problem = address_problem(address, *subnet); !problem.empty()) {
            problems.push_back("invalid auxiliary address " + name + ": " + problem);
        }
    }
}

Error cannot_parse(std::string_view name, const std::string& value, std::string_view why) {
    return invalid_argument(
        "failed to parse " + std::string(name) + " value: " + value + " (" + std::string(why) +
        ")");
}

Result<bool> bool_option(const StringMap& options, std::string_view name, bool fallback) {
    const auto found = options.find(std::string(name));
    if (found == options.end()) {
        return fallback;
    }
    auto value = parse_go_bool(found->second);
    if (!value.ok()) {
        return cannot_parse(
            name,
            found->second,
            "strconv.ParseBool: parsing \"" + found->second + "\": invalid syntax");
    }
    return *value;
}

Result<GatewayMode>
gateway_mode_option(const StringMap& options, std::string_view name, bool internal) {
    const std::string text = option_or(options, name, "nat");
    if (text == "nat") {
        return GatewayMode::Nat;
    }
    if (text == "nat-unprotected") {
        return GatewayMode::NatUnprotected;
    }
    if (text == "routed") {
        return GatewayMode::Routed;
    }
    if (text != "isolated") {
        return cannot_parse(name, text, "unknown gateway mode " + text);
    }
    if (!internal) {
        return invalid_argument("gateway mode 'isolated' can only be used for an internal network");
    }
    return GatewayMode::Isolated;
}

Result<std::optional<IpAddress>>
address_option(const StringMap& options, std::string_view name, kernel::IpFamily family) {
    if (!options.contains(std::string(name))) {
        return std::optional<IpAddress>();
    }
    const std::string text = option_or(options, name, "");
    const auto address = IpAddress::parse(text);
    if (!address.ok() || address->family() != family) {
        return cannot_parse(name, text, "nil ip");
    }
    return std::optional<IpAddress>(*address);
}

// What only the firewall heeds.
Result<void> read_firewall_options(const StringMap& options, network::BridgeOptions& bridge) {
    bridge.source_v4 =
        TRY(address_option(options, "com.docker.network.host_ipv4", kernel::IpFamily::V4));
    bridge.source_v6 =
        TRY(address_option(options, "com.docker.network.host_ipv6", kernel::IpFamily::V6));
    bridge.any_source = TRY(bool_option(options, any_source_option, false));
    bridge.shortcut = TRY(bool_option(options, shortcut_option, true));
    bridge.big_tcp = TRY(bool_option(options, big_tcp_option, true));
    constexpr std::string_view trusted = "com.docker.network.bridge.trusted_host_interfaces";
    const std::string names = option_or(options, trusted, "");
    if (names.empty()) {
        return ok();
    }
    for (const std::string_view name : split(names, ':')) {
        if (name.empty() || name.size() > network::longest_interface_name) {
            return cannot_parse(trusted, names, "no name of an interface");
        }
        bridge.trusted_interfaces.emplace_back(name);
    }
    return ok();
}

// 0: not said, as with Docker.
Result<std::uint32_t> read_mtu(const NetworkInspect& network) {
    const std::string text = option_or(network.options, mtu_option, "0");
    const auto mtu = parse_number<std::uint32_t>(text);
    if (text.starts_with('-') && parse_number<std::uint32_t>(text.substr(1)).ok()) {
        return invalid_argument("invalid MTU number: " + text);
    }
    if (!mtu.ok()) {
        return cannot_parse(
            mtu_option, text, "strconv.Atoi: parsing \"" + text + "\": invalid syntax");
    }
    const std::uint32_t smallest = network.enable_ipv6 ? network::smallest_ipv6_mtu : smallest_mtu;
    if (*mtu != 0 && (*mtu < smallest || *mtu > largest_mtu)) {
        return cannot_parse(
            mtu_option,
            text,
            "it must be between " + std::to_string(smallest) + " and " +
                std::to_string(largest_mtu) + (network.enable_ipv6 ? " with IPv6" : ""));
    }
    return *mtu;
}

// One of the values that an option has, in the words of moby's drivers.
template <class Value>
Result<Value> choice_of(
    const std::string& text,
    const std::vector<std::pair<std::string_view, Value>>& values,
    const std::string& unknown) {
    if (text.empty()) {
        return values.front().second;
    }
    for (const auto& [name, value] : values) {
        if (name == text) {
            return value;
        }
    }
    return invalid_argument(unknown);
}

Result<void> read_modes(const StringMap& options, network::SublinkOptions& sublink) {
    using network::IpvlanFlag;
    using network::SublinkMode;
    if (sublink.kind == network::SublinkKind::Macvlan) {
        const std::string text = option_or(options, "macvlan_mode", "");
        sublink.mode = TRY(choice_of<SublinkMode>(
            text,
            {{"bridge", SublinkMode::Bridge},
             {"private", SublinkMode::Private},
             {"passthru", SublinkMode::Passthru},
             {"vepa", SublinkMode::Vepa}},
            "requested macvlan mode '" + text +
                "' is not valid, 'bridge' mode is the macvlan driver default"));
        return ok();
    }
    const std::string text = option_or(options, "ipvlan_mode", "");
    sublink.mode = TRY(choice_of<SublinkMode>(
        text,
        {{"l2", SublinkMode::L2}, {"l3", SublinkMode::L3}, {"l3s", SublinkMode::L3s}},
        "requested ipvlan mode '" + text +
            "' is not valid, 'l2' mode is the ipvlan driver default"));
    const std::string flag = option_or(options, "ipvlan_flag", "");
    sublink.flag = TRY(choice_of<IpvlanFlag>(
        flag,
        {{"bridge", IpvlanFlag::Bridge},
         {"private", IpvlanFlag::Private},
         {"vepa", IpvlanFlag::Vepa}},
        "requested ipvlan flag '" + flag +
            "' is not valid, 'bridge' is the ipvlan driver default flag"));
    return ok();
}

Result<void> read_driver_options(const NetworkInspect& network, network::BridgeOptions& bridge) {
    const StringMap& options = network.options;
    bridge.name = option_or(options, bridge_name_option, "");
    if (bridge.name.empty()) {
        bridge.name = "br-" + network.id.substr(0, bridge_id_length);
    }
    bridge.inter_container =
        TRY(bool_option(options, "com.docker.network.bridge.enable_icc", true));
    bridge.masquerade =
        TRY(bool_option(options, "com.docker.network.bridge.enable_ip_masquerade", true));
    bridge.inhibit_ipv4 =
        TRY(bool_option(options, "com.docker.network.bridge.inhibit_ipv4", false));
    TRY(bool_option(options, "com.docker.network.bridge.default_bridge", false));
    TRY(read_firewall_options(options, bridge));
    bridge.gateway_mode =
        TRY(gateway_mode_option(options, gateway_mode_v4_option, network.internal));
    bridge.gateway_mode_v6 =
        TRY(gateway_mode_option(options, gateway_mode_v6_option, network.internal));
    bridge.mtu = TRY(read_mtu(network));
    if (const std::string text = option_or(options, host_binding_option, "0.0.0.0");
        !IpAddress::parse(text).ok()) {
        return cannot_parse(host_binding_option, text, "nil ip");
    }
    return ok();
}

Error taken_address(const std::string& what, const std::string& address) {
    return conflict("failed to allocate " + what + address + "): Address already in use");
}

// The gateway and the auxiliary addresses can all be had.
Result<void> check_distinct(
    const IpamPool& pool, const IpPrefix& subnet, const std::optional<IpAddress>& gateway) {
    std::set<IpAddress> taken;
    if (gateway) {
        if (network::names_all_of(subnet, *gateway)) {
            return taken_address("gateway (", gateway->to_string());
        }
        taken.insert(*gateway);
    }
    for (const auto& [name, text] : pool.aux_addresses) {
        const auto address = IpAddress::parse(text);
        if (!address.ok()) {
            return invalid_argument(
                "non parsable secondary ip address (" + name + ":" + text + ")");
        }
        if (network::names_all_of(subnet, *address) || !taken.insert(*address).second) {
            return taken_address("secondary ip address (" + name + ":", text);
        }
    }
    return ok();
}

// moby's bridge driver (validateIPv6Subnet).
Result<void> check_subnet_v6(const IpPrefix& subnet) {
    static const IpPrefix link_local = IpPrefix::parse("fe80::/64").value();
    const IpPrefix shown{network::usual_gateway(subnet, std::nullopt), subnet.length};
    if (subnet.address.bytes()[0] == 0xff) {
        return invalid_argument("multicast subnet '" + shown.to_string() + "' is not allowed");
    }
    if (subnet.overlaps(link_local) && subnet != link_local) {
        return invalid_argument(
            "'" + shown.to_string() + "' clashes with the Link-Local prefix 'fe80::/64'");
    }
    return ok();
}

// A pool of a network as its driver takes it.
struct ReadPool {
    network::Subnet subnet;
    std::map<std::string, IpAddress> auxiliary; // by name
};

// With a usual gateway, one that nobody names is taken as well.
Result<ReadPool> read_pool(const IpamPool& pool, bool has_usual_gateway) {
    ReadPool read{.subnet = {.prefix = TRY(IpPrefix::parse(pool.subnet))}, .auxiliary = {}};
    network::Subnet& subnet = read.subnet;
    if (subnet.prefix.length == 0) {
        return Error(
            ErrorKind::Forbidden,
            "invalid pool request: Pool overlaps with other one on this address space");
    }
    if (!subnet.prefix.address.is_v4()) {
        TRY(check_subnet_v6(subnet.prefix));
    }
    if (!pool.gateway.empty()) {
        subnet.gateway = TRY(IpAddress::parse(pool.gateway));
    }
    if (!pool.ip_range.empty()) {
        subnet.range = TRY(IpPrefix::parse(pool.ip_range));
    }
    std::optional<IpAddress> reserved = subnet.gateway;
    if (!reserved && has_usual_gateway) {
        reserved = network::usual_gateway(subnet.prefix, subnet.range);
    }
    TRY(check_distinct(pool, subnet.prefix, reserved));
    for (const auto& [name, text] : pool.aux_addresses) {
        read.auxiliary.emplace(name, TRY(IpAddress::parse(text)));
    }
    return read;
}

bool is_v4_pool(const IpamPool& pool) {
    return pool.subnet.find(':') == std::string::npos;
}

// Those of the families that are enabled.
std::vector<IpamPool> pools_of(const NetworkInspect& network) {
    std::vector<IpamPool> pools;
    std::ranges::copy_if(network.ipam.config, std::back_inserter(pools), [&](const IpamPool& pool) {
        return is_v4_pool(pool) ? network.enable_ipv4 : network.enable_ipv6;
    });
    return pools;
}

Result<void> read_bridge_pool(const IpamPool& pool, network::BridgeOptions& bridge) {
    const bool is_v4 = is_v4_pool(pool);
    if (is_v4 ? bridge.subnet.length != 0 : bridge.subnet_v6.has_value()) {
        return Error(ErrorKind::Forbidden, "bridge driver doesn't support multiple subnets");
    }
    const auto family = is_v4 ? kernel::IpFamily::V4 : kernel::IpFamily::V6;
    ReadPool read = TRY(read_pool(pool, network::has_usual_gateway(bridge, family)));
    if (is_v4) {
        bridge.subnet = read.subnet.prefix;
    } else {
        bridge.subnet_v6 = read.subnet.prefix;
    }
    (is_v4 ? bridge.gateway : bridge.gateway_v6) = read.subnet.gateway;
    (is_v4 ? bridge.ip_range : bridge.ip_range_v6) = read.subnet.range;
    for (const auto& [name, address] : read.auxiliary) {
        if (name == (is_v4 ? default_gateway_v4 : default_gateway_v6)) {
            (is_v4 ? bridge.router : bridge.router_v6) = address; // which is reserved, too
        } else {
            bridge.reserved.push_back(address);
        }
    }
    return ok();
}

Result<void> read_sublink_pool(const IpamPool& pool, network::SublinkOptions& sublink) {
    ReadPool read = TRY(read_pool(pool, network::has_usual_gateway(sublink)));
    sublink.subnets.push_back(std::move(read.subnet));
    for (const auto& [name, address] : read.auxiliary) {
        sublink.reserved.push_back(address);
    }
    return ok();
}

} // namespace

std::string list_of_problems(const std::vector<std::string>& problems) {
    const bool is_list = problems.size() > 1;
    return (is_list ? "* " : "") + join(problems, is_list ? "\n* " : "");
}

std::string option_or(const StringMap& options, std::string_view name, std::string_view fallback) {
    const auto found = options.find(std::string(name));
    return found == options.end() ? std::string(fallback) : found->second;
}

Result<void> check_ipam(const std::vector<IpamPool>& pools, bool enable_ipv6) {
    std::vector<std::string> problems;
    for (const IpamPool& pool : pools) {
        check_pool(pool, enable_ipv6, problems);
    }
    if (problems.empty()) {
        return ok();
    }
    return invalid_argument("invalid network config:\n" + list_of_problems(problems));
}

Result<void> check_interface_prefix(const StringMap& options) {
    const std::string prefix = option_or(options, interface_prefix_option, "");
    if (prefix.size() > longest_interface_prefix || prefix.starts_with('.') ||
        prefix.find_first_of("/: \t\n%") != std::string::npos) {
        return cannot_parse(
            interface_prefix_option,
            prefix,
            "it must be the beginning of an interface's name, of " +
                std::to_string(longest_interface_prefix) + " characters at most");
    }
    return ok();
}

Result<network::BridgeOptions> bridge_options_of(const NetworkInspect& network) {
    network::BridgeOptions bridge;
    bridge.internal = network.internal;
    bridge.description = network.name + " (" + network.id + ")";
    TRY(read_driver_options(network, bridge));
    for (const IpamPool& pool : pools_of(network)) {
        TRY(read_bridge_pool(pool, bridge));
    }
    return bridge;
}

bool is_sublink_driver(const std::string& driver) {
    return driver == "macvlan" || driver == "ipvlan";
}

Result<network::SublinkOptions> sublink_options_of(const NetworkInspect& network) {
    const bool is_macvlan = network.driver == "macvlan";
    network::SublinkOptions sublink;
    sublink.kind = is_macvlan ? network::SublinkKind::Macvlan : network::SublinkKind::Ipvlan;
    // moby's names of the parents that it makes.
    sublink.name = (is_macvlan ? "dm-" : "di-") + network.id.substr(0, bridge_id_length);
    sublink.id = network.id;
    sublink.parent = option_or(network.options, parent_option, "");
    sublink.internal = network.internal;
    sublink.description = network.name + " (" + network.id + ")";
    sublink.mtu = TRY(read_mtu(network));
    TRY(read_modes(network.options, sublink));
    for (const IpamPool& pool : pools_of(network)) {
        TRY(read_sublink_pool(pool, sublink));
    }
    return sublink;
}

Result<bool> has_usual_gateway(const NetworkInspect& network, kernel::IpFamily family) {
    return is_sublink_driver(network.driver)
               ? network::has_usual_gateway(TRY(sublink_options_of(network)))
               : network::has_usual_gateway(TRY(bridge_options_of(network)), family);
}

} // namespace berth::engine
