// SPDX-License-Identifier: Apache-2.0
// What the networks of one driver share.
#pragma once

#include "base/synchronized.h"
#include "kernel/netlink_route.h"
#include "network/firewall.h"
#include "network/interface_reaper.h"
#include "network/namespace_pool.h"
#include "network/port_publisher.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace berth::network {

struct DriverParts {
    std::string owner; // the label of all that this driver makes on the host
    Firewall firewall;
    std::unique_ptr<NamespacePool> pool;
    std::unique_ptr<InterfaceReaper> reaper;
    Synchronized<kernel::RouteSocket> host;
    UniqueFd table_claim{};
    PortReservations ports{};
};

// The interfaces of the host as an engine that starts finds them, by what they are joined to: one
// look at all for all networks.
struct HostLinks {
    std::vector<kernel::Link> all;
    std::map<int, std::vector<const kernel::Link*>> by_master;

    explicit HostLinks(std::vector<kernel::Link> links)
        : all(std::move(links)) {
        for (const kernel::Link& link : all) {
            by_master[link.master].push_back(&link);
        }
    }
};

} // namespace berth::network
