// SPDX-License-Identifier: Apache-2.0
// What NetworkDriver and its BridgeNetworks hold; for their two files only.
#pragma once

#include "base/synchronized.h"
#include "kernel/netlink_route.h"
#include "network/address_pool.h"
#include "network/firewall.h"
#include "network/interface_reaper.h"
#include "network/namespace_pool.h"
#include "network/network.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace berth::network {

// Shared by a driver's networks.
struct DriverParts {
    Firewall firewall;
    std::unique_ptr<NamespacePool> pool;
    std::unique_ptr<InterfaceReaper> reaper;
    Synchronized<kernel::RouteSocket> host;
    UniqueFd table_claim{};
    PortReservations ports{};
};

struct BridgeNetwork::State {
    struct Live {
        std::string container_name;
        IpAddress ip;
        int host_index = 0; // 0 when a restored endpoint's interface is gone
        std::string host_interface{};
        // Of an endpoint that brought its own namespace: kept so that the namespace goes together
        // with others (interface_reaper.h) and not when the container ends.
        UniqueFd netns{};
        std::vector<BoundPort> ports;
    };

    struct Members {
        AddressPool addresses;
        std::map<std::string, std::optional<Live>> endpoints; // empty while being connected
        bool removed = false;
    };

    std::shared_ptr<DriverParts> parts;
    UniqueFd claim; // on the bridge's name
    BridgeOptions options;
    NamespaceTemplate shape;
    NamespacePool::ShelfId shelf = 0;
    Synchronized<Members> members;

    // The bridge exists or is made; its rules gather in the firewall.
    // `known` are the endpoints of an earlier engine that stay; other interfaces that it left on
    // the bridge go, before the pool puts new ones there.
    static Result<std::unique_ptr<State>> create(
        std::shared_ptr<DriverParts> parts,
        const BridgeOptions& options,
        const std::vector<EndpointRecord>& known = {});

    Result<IpAddress> enroll(const EndpointRequest& request);
    void strike_off(const std::string& endpoint_id, const IpAddress& ip);
    Result<Endpoint> wire(const EndpointRequest& request, const IpAddress& ip);
    Result<void> configure(
        kernel::RouteSocket& inside,
        int index,
        const EndpointRequest& request,
        Endpoint& endpoint) const;
    Result<std::vector<BoundPort>> open_ports(
        const std::vector<PortRequest>& ports,
        const IpAddress& ip,
        const std::string& container_name,
        const std::string& endpoint_id);
    void close_ports(const std::vector<BoundPort>& ports, const IpAddress& ip);
    // The interface carries the endpoint's addresses as sources, and no others.
    Result<void>
    guard_sources(const std::string& host_interface, const MacAddress& mac, const IpAddress& ip);
    void unguard_sources(const std::string& host_interface);
    void restore(const EndpointRecord& record);
    // All that is left of it: endpoints, rules, bridge.
    Result<void> tear_down();
};

} // namespace berth::network
