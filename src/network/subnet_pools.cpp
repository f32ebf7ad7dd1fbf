// SPDX-License-Identifier: Apache-2.0
// Choosing subnets. A dump of the host's routes grows with the number of networks (each has a few),
// so it is remembered until the kernel tells of a change that is not our own.
#include "network/subnet_pools.h"

#include "network/address_arithmetic.h"

#include <algorithm>

namespace berth::network {

using kernel::IpAddress;
using kernel::IpFamily;
using kernel::IpPrefix;
using kernel::Route;
using kernel::RouteSocket;

namespace {

SubnetPool pool_v4(std::uint32_t first, std::uint8_t length, std::uint8_t size) {
    return {.base = {IpAddress::from_v4(first), length}, .size = size};
}

std::pair<IpFamily, IpAddress> key_of(const IpPrefix& prefix) {
    return {prefix.address.family(), prefix.network().address};
}

} // namespace

std::vector<SubnetPool> default_subnet_pools() {
    return {
        pool_v4(0xac110000, 16, 16), // 172.17.0.0/16
        pool_v4(0xac120000, 16, 16), // 172.18.0.0/16
        pool_v4(0xac130000, 16, 16), // 172.19.0.0/16
        pool_v4(0xac140000, 14, 16), // 172.20.0.0/14
        pool_v4(0xac180000, 14, 16), // 172.24.0.0/14
        pool_v4(0xac1c0000, 14, 16), // 172.28.0.0/14
        pool_v4(0xc0a80000, 16, 20), // 192.168.0.0/16
    };
}

Result<SubnetPools> SubnetPools::create(const std::vector<SubnetPool>& pools) {
    return SubnetPools(pools, TRY(kernel::RouteWatch::open()));
}

SubnetPools::SubnetPools(const std::vector<SubnetPool>& pools, kernel::RouteWatch watch)
    : watch_(std::move(watch)) {
    for (const SubnetPool& pool : pools) {
        pools_.push_back(
            {.pool = pool, .candidate = IpPrefix{pool.base.network().address, pool.size}});
    }
}

bool SubnetPools::overlaps_any(const Prefixes& prefixes, const IpPrefix& candidate) {
    const auto next = prefixes.lower_bound(key_of(candidate));
    if (next != prefixes.end() && next->second.overlaps(candidate)) {
        return true;
    }
    return next != prefixes.begin() && std::prev(next)->second.overlaps(candidate);
}

Result<void> SubnetPools::take(const IpPrefix& subnet) {
    if (is_taken(subnet)) {
        return Error(
            ErrorKind::Forbidden,
            "invalid pool request: Pool overlaps with other one on this address space");
    }
    taken_.emplace(key_of(subnet), subnet.network());
    return ok();
}

void SubnetPools::give_back(const IpPrefix& subnet) {
    const IpPrefix freed = subnet.network();
    if (taken_.erase(key_of(freed)) == 0) {
        return;
    }
    for (Pool& pool : pools_) {
        if (!pool.pool.base.overlaps(freed)) {
            continue;
        }
        const IpAddress first = std::max(pool.pool.base.network().address, freed.address);
        const IpPrefix earliest = IpPrefix{first, pool.pool.size}.network();
        if (!pool.candidate || earliest.address < pool.candidate->address) {
            pool.candidate = earliest;
        }
    }
}

bool SubnetPools::is_taken(const IpPrefix& candidate) const {
    return overlaps_any(taken_, candidate);
}

Result<void> SubnetPools::look_at_routes(const std::set<int>& own_links, RouteSocket& host) {
    if (!watch_.changed(own_links) && has_looked_) {
        return ok();
    }
    has_looked_ = false;
    std::vector<IpPrefix> found;
    for (const IpFamily family : {IpFamily::V4, IpFamily::V6}) {
        for (const Route& route : TRY(host.routes(family))) {
            if (route.destination.length != 0 && !own_links.contains(route.output_index)) {
                found.push_back(route.destination.network());
            }
        }
    }
    // Wide ones first: what lies within another one says nothing new.
    std::ranges::sort(
        found, [](const IpPrefix& a, const IpPrefix& b) { return a.length < b.length; });
    routed_.clear();
    for (const IpPrefix& prefix : found) {
        if (!overlaps_any(routed_, prefix)) {
            routed_.emplace(key_of(prefix), prefix);
        }
    }
    has_looked_ = true;
    return ok();
}

Result<IpPrefix>
SubnetPools::pick(IpFamily family, const std::set<int>& own_links, RouteSocket& host) {
    TRY(look_at_routes(own_links, host));
    for (Pool& pool : pools_) {
        if (pool.pool.base.address.family() != family) {
            continue;
        }
        while (pool.candidate && is_taken(*pool.candidate)) {
            pool.candidate = successor(*pool.candidate);
            if (pool.candidate && !pool.pool.base.contains(pool.candidate->address)) {
                pool.candidate.reset();
            }
        }
        // What only a route occupies may be free the next time.
        std::optional<IpPrefix> candidate = pool.candidate;
        while (candidate && pool.pool.base.contains(candidate->address)) {
            if (!is_taken(*candidate) && !overlaps_any(routed_, *candidate)) {
                return *candidate;
            }
            candidate = successor(*candidate);
        }
    }
    return Error(
        ErrorKind::ResourceExhausted, "all predefined address pools have been fully subnetted");
}

} // namespace berth::network
