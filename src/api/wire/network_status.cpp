// SPDX-License-Identifier: Apache-2.0
// Counting as dockerd does: what is never given out (a subnet's first address, IPv4's broadcast
// address), the gateway and the auxiliary addresses count as taken beside the containers' own.
#include "api/wire/network_status.h"

#include "kernel/netlink_address.h"
#include "network/address_arithmetic.h"

#include <algorithm>
#include <limits>
#include <set>

namespace berth::api::wire {

namespace {

using kernel::IpAddress;
using kernel::IpPrefix;

constexpr std::uint64_t many = std::numeric_limits<std::uint64_t>::max();

void add_address(std::set<IpAddress>& taken, const IpPrefix& subnet, std::string_view text) {
    const auto address = IpAddress::parse(text.substr(0, text.find('/')));
    if (address.ok() && subnet.contains(*address)) {
        taken.insert(*address);
    }
}

std::set<IpAddress> taken_addresses(
    const IpPrefix& subnet, const engine::IpamPool& pool, const engine::NetworkInspect& network) {
    std::set<IpAddress> taken{subnet.address};
    if (subnet.address.is_v4()) {
        taken.insert(network::last_of(subnet));
    }
    add_address(taken, subnet, pool.gateway);
    for (const auto& [name, address] : pool.aux_addresses) {
        add_address(taken, subnet, address);
    }
    for (const auto& [id, endpoint] : network.containers) {
        add_address(taken, subnet, endpoint.ipv4_address);
        add_address(taken, subnet, endpoint.ipv6_address);
    }
    return taken;
}

// At most 2^64 - 1.
std::uint64_t size_of(const IpPrefix& prefix) {
    const int free_bits = (prefix.address.is_v4() ? 32 : 128) - prefix.length;
    return free_bits >= 64 ? many : std::uint64_t{1} << free_bits;
}

json::Object encode_pool(
    const IpPrefix& subnet, const engine::IpamPool& pool, const engine::NetworkInspect& network) {
    const std::set<IpAddress> taken = taken_addresses(subnet, pool, network);
    const auto asked_range = IpPrefix::parse(pool.ip_range);
    const IpPrefix range = asked_range.ok() ? asked_range->network() : subnet;
    const auto within = static_cast<std::uint64_t>(std::ranges::count_if(
        taken, [&range](const IpAddress& address) { return range.contains(address); }));
    const std::uint64_t size = size_of(range);
    // Of a range beyond counting, what is taken does not show.
    return json::Object{
        {"IPsInUse", taken.size()},
        {"DynamicIPsAvailable", size == many ? many : size - std::min(size, within)}};
}

} // namespace

json::Value encode_network_status(const engine::NetworkInspect& network) {
    json::Object subnets;
    for (const engine::IpamPool& pool : network.ipam.config) {
        if (const auto subnet = IpPrefix::parse(pool.subnet); subnet.ok()) {
            const IpPrefix prefix = subnet->network();
            subnets[prefix.to_string()] = encode_pool(prefix, pool, network);
        }
    }
    return json::Object{{"IPAM", json::Object{{"Subnets", std::move(subnets)}}}};
}

} // namespace berth::api::wire
