// SPDX-License-Identifier: Apache-2.0
// What the networks of one driver share.
#pragma once

#include "base/synchronized.h"
#include "kernel/netlink_route.h"
#include "network/bridge_shortcut.h"
#include "network/firewall.h"
#include "network/flow_shortcut.h"
#include "network/interface_reaper.h"
#include "network/loopback_shortcut.h"
#include "network/namespace_pool.h"
#include "network/port_publisher.h"

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace berth::network {

// The MTU of the link of the host's default route. It takes a look at all routes, of which networks
// make many: it is remembered for a moment.
struct WayOutMtu {
    std::uint32_t mtu = 0;
    std::chrono::steady_clock::time_point looked_at{};
};

class CniAttachments;

// Interfaces of the host that are the networks' own: routes over them are nobody else's.
struct OwnLinks {
    std::set<int> all{};
    std::vector<int> former{}; // of these, what has gone since the last look at the host's routes
};

struct DriverParts {
    std::string owner;       // the label of all that this driver makes on the host
    FlowShortcut flows;      // both told of others' rules by the firewall until that is gone
    BridgeShortcut shortcut; // goes on with the flows' program
    LoopbackShortcut loopback;
    Firewall firewall;
    std::unique_ptr<NamespacePool> pool;
    std::unique_ptr<InterfaceReaper> reaper;
    Synchronized<kernel::RouteSocket> host;
    UniqueFd table_claim{};
    PortReservations ports{};
    bool relays_ports = true;                           // see NetworkDriver::Options
    FirewallFamilies families = FirewallFamilies::Both; // and there
    Synchronized<WayOutMtu> way_out{};
    Synchronized<OwnLinks> links{};
    std::shared_ptr<CniAttachments> cni{};
};

// The interfaces of the host as an engine that starts finds them, by what they are joined to: one
// look at all for all networks.
struct HostLinks {
    std::vector<kernel::Link> all;
    std::map<int, std::vector<const kernel::Link*>> by_master;
    std::vector<const kernel::Link*> loose_veths; // joined to nothing
    std::map<int, std::vector<kernel::IpPrefix>> addresses;

    HostLinks(std::vector<kernel::Link> links, const std::vector<kernel::LinkAddress>& found)
        : all(std::move(links)) {
        for (const kernel::Link& link : all) {
            by_master[link.master].push_back(&link);
            if (link.master == 0 && link.kind == "veth") {
                loose_veths.push_back(&link);
            }
        }
        for (const kernel::LinkAddress& address : found) {
            addresses[address.index].push_back(address.address);
        }
    }
};

} // namespace berth::network
