// SPDX-License-Identifier: Apache-2.0
// What a BridgeNetwork holds, for its own files and for NetworkDriver.
#pragma once

#include "network/bridge.h"
#include "network/driver_parts.h"
#include "network/drivers/bridge_network.h"
#include "network/drivers/bridge_ports.h"
#include "network/namespace_pool.h"
#include "network/network_members.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

namespace berth::network {

struct BridgeNetworkState {
    struct Live {
        std::string container_name;
        ContainerAddresses addresses;
        int bridge_index = 0; // of the bridge that its port is on
        std::string host_interface{};
        int host_index = 0; // 0 when a restored endpoint's interface is gone
        // Of an endpoint that brought its own namespace: kept so that the namespace goes together
        // with others (interface_reaper.h) and not when the container ends.
        UniqueFd netns{};
        std::vector<BoundPort> ports;
        std::optional<ShortcutMember> shortcut{}; // as it has joined, if it has
    };

    struct Members {
        NetworkMembers places;
        // Those with an interface: not while they are being connected or disconnected.
        std::map<std::string, Live> endpoints{};

        Live* find(const std::string& endpoint_id) {
            const auto found = endpoints.find(endpoint_id);
            return found == endpoints.end() ? nullptr : &found->second;
        }
    };

    std::shared_ptr<DriverParts> parts;
    UniqueFd claim; // on the bridge's name
    BridgeOptions options;
    HostBridge bridge;
    NamespaceTemplate shape;
    NamespacePool::ShelfId shelf = 0;
    Synchronized<Members> members;
    Synchronized<BridgePorts> bridges;
    // Held together by all who join endpoints to the bridges or take them off, alone by who makes
    // bridges again: `bridge`, `shape`, `shelf` and which bridge an endpoint is on change under it.
    std::shared_mutex wiring{};

    // The bridge exists or is made; its rules gather in the firewall. `found` is there when an
    // engine starts: veth pairs that are on the bridge and not among the known endpoints are what
    // an earlier engine left, and go before the pool puts new ones there.
    static Result<std::unique_ptr<BridgeNetworkState>> create(
        const std::shared_ptr<DriverParts>& parts,
        const BridgeOptions& options,
        const std::vector<EndpointRecord>& known = {},
        const HostLinks* found = nullptr);

    Result<ContainerAddresses> enroll(const EndpointRequest& request);
    void strike_off(const std::string& endpoint_id);
    // The interfaces, and the endpoint with these ports, from then on.
    Result<Endpoint> wire(
        const EndpointRequest& request,
        const ContainerAddresses& addresses,
        const std::vector<BoundPort>& ports);
    // REQUIRES: wiring is held.
    Result<Endpoint> wire_once(
        const EndpointRequest& request,
        const ContainerAddresses& addresses,
        const std::vector<BoundPort>& ports);
    // Whether what a port on this bridge leads over is there: else what the pool has for it leads
    // nowhere.
    Result<bool> is_there(int bridge_index);
    Result<bool> are_all_there();
    // Whether one of these was a bridge of this network, or joined two.
    bool has_lost(const std::set<int>& links);
    // Whether an engine that starts has found interfaces of this network on no bridge.
    bool is_torn(const HostLinks& found);
    Result<void> adopt_loose(const std::string& host_interface, const HostLinks& found, Live& live);
    // What somebody has deleted of the bridges is made again, and what endpoints had there is put
    // back. Conflict when the bridge's name belongs to somebody else's interface meanwhile.
    Result<void> heal();
    // The bridge, in place of one that is gone. REQUIRES, here and below: wiring is held alone.
    Result<void> make_bridge_again(kernel::RouteSocket& host);
    Result<void> put_endpoints_back(const std::map<int, int>& moved, kernel::RouteSocket& host);
    void join_shortcuts_again();
    // The interfaces of wire(), in a namespace of their own or in the request's.
    Result<PreparedNamespace> plug(const EndpointRequest& request, int bridge_index);
    Result<std::vector<BoundPort>> open_ports(
        const std::vector<PortRequest>& ports,
        const ContainerAddresses& addresses,
        const std::string& container_name,
        const std::string& endpoint_id);
    void close_ports(const std::vector<BoundPort>& ports, const ContainerAddresses& addresses);
    // The interface carries the endpoint's addresses as sources, and no others, and no more than
    // its rate. `endpoint` has further addresses; the bridge and its options are filled in.
    Result<void> guard_sources(
        const std::string& host_interface,
        FirewallEndpoint endpoint,
        const ContainerAddresses& addresses);
    void unguard_sources(const std::string& host_interface);
    void lead_loopback(const std::vector<BoundPort>& ports, const ContainerAddresses& addresses);
    void leave_shortcut(int host_index);
    // The short ways past the bridge, where they are possible and would not lead around a rate's
    // limit.
    void join_shortcut(
        Live& live,
        const MacAddress& mac,
        const std::vector<IpAddress>& further,
        const RateLimits& rates);
    void join_shortcut(Live& live, const ShortcutMember& member);
    Result<void> open_to_peer(const PeerOpening& opening);
    Result<void> close_to_peer(const std::string& from, const std::string& to);
    // Those of an endpoint that goes.
    void close_links(const ContainerAddresses& addresses);
    void restore(const EndpointRecord& record, const HostLinks& found);
    // No endpoint joins any more. Forbidden while there are some.
    Result<void> close();
    // All that is left of it: endpoints, rules, bridge. The interfaces go behind.
    Result<void> tear_down();
};

} // namespace berth::network
