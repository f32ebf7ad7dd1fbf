// SPDX-License-Identifier: Apache-2.0
// Subnets for networks that ask for none: Docker's default address pools or the configured ones.
// Choosing costs the same however many networks there are. Not thread-safe; its owner locks.
#pragma once

#include "base/result.h"
#include "kernel/netlink_route.h"
#include "kernel/netlink_route_watch.h"

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace berth::network {

// Subnets of `size` bits within base.
struct SubnetPool {
    kernel::IpPrefix base;
    std::uint8_t size = 0;
};

// moby's daemon/libnetwork/ipamutils.
std::vector<SubnetPool> default_subnet_pools();

class SubnetPools {
  public:
    // Belongs to the calling thread's network namespace.
    static Result<SubnetPools> create(const std::vector<SubnetPool>& pools);

    // Forbidden, in Docker's words, when it overlaps with one that is taken.
    Result<void> take(const kernel::IpPrefix& subnet);
    void give_back(const kernel::IpPrefix& subnet);

    // The first subnet of the pools that overlaps with none that is taken and with no route of the
    // host but those over our own links (and links that were ours a moment ago). Not taken yet.
    Result<kernel::IpPrefix>
    pick(kernel::IpFamily family, const std::set<int>& own_links, kernel::RouteSocket& host);

  private:
    // By first address, so that neighbours tell of overlaps; the families apart.
    using Prefixes = std::map<std::pair<kernel::IpFamily, kernel::IpAddress>, kernel::IpPrefix>;

    struct Pool {
        SubnetPool pool;
        // Everything below is taken by a network; nullopt: all is.
        std::optional<kernel::IpPrefix> candidate;
    };

    SubnetPools(const std::vector<SubnetPool>& pools, kernel::RouteWatch watch);

    static bool overlaps_any(const Prefixes& prefixes, const kernel::IpPrefix& candidate);
    bool is_taken(const kernel::IpPrefix& candidate) const;
    Result<void> look_at_routes(const std::set<int>& own_links, kernel::RouteSocket& host);

    std::vector<Pool> pools_;
    Prefixes taken_;  // they do not overlap with each other
    Prefixes routed_; // over other people's links
    bool has_looked_ = false;
    kernel::RouteWatch watch_;
};

} // namespace berth::network
