// SPDX-License-Identifier: Apache-2.0
// Bridge networks: the bridge, its firewall rules, and the veth pairs that join containers to it.
#pragma once

#include "network/network.h"
#include "network/subnet.h"

#include <chrono>
#include <memory>

namespace berth::network {

struct DriverParts;
struct BridgeNetworkState;

// What the host does with traffic between the network and the world, for one family.
enum class GatewayMode : std::uint8_t {
    Nat,            // masqueraded on the way out, in only to published ports
    NatUnprotected, // masqueraded, and all ports reachable for who knows the way
    Routed,         // not masqueraded; published ports are opened, not translated
    Isolated,       // the host has no address in an internal network
};

struct BridgeOptions {
    std::string name; // the interface's name, at most 15 bytes: "berth0", "br-1a2b3c4d5e6f"
    IpPrefix subnet;  // length 0: a network without IPv4
    std::optional<IpAddress> gateway;  // default: see has_usual_gateway
    std::optional<IpPrefix> ip_range;  // containers' addresses come from here; default: the subnet
    std::vector<IpAddress> reserved;   // never given to a container (Docker's aux-address)
    std::uint32_t mtu = 0;             // 0: that of the link of the default route, else 1500
    bool inter_container = true;       // Docker's enable_icc
    bool masquerade = true;            // Docker's enable_ip_masquerade
    bool internal = false;             // no way out, no published ports, no default route
    std::size_t pool_size = 0;         // namespaces kept ready with a veth pair on this bridge
    std::optional<IpPrefix> subnet_v6; // a network with IPv6
    std::optional<IpAddress> gateway_v6{};
    std::optional<IpPrefix> ip_range_v6{};
    GatewayMode gateway_mode = GatewayMode::Nat;
    GatewayMode gateway_mode_v6 = GatewayMode::Nat;
    bool inhibit_ipv4 = false; // the bridge gets no IPv4 address; somebody else is the gateway
    // Containers' way out when it is not the bridge itself.
    std::optional<IpAddress> router{};
    std::optional<IpAddress> router_v6{};
    // Masquerading takes these addresses of the host instead of the outgoing interface's.
    std::optional<IpAddress> source_v4{};
    std::optional<IpAddress> source_v6{};
    // Interfaces of the host: what comes in there may reach every port of the containers.
    std::vector<std::string> trusted_interfaces{};
    bool any_source = false; // containers may send from addresses that are not theirs
    bool shortcut = true;    // frames between containers pass the bridge by: bridge_shortcut.h
    bool big_tcp = true;     // large packets from the host, unless the bridge was there: big_tcp.h
    std::string description{}; // "name (id)" for error sentences; default: the bridge's name
};

// Whether the first address of the range or subnet is the gateway when none is named. Where nobody
// has a use for it there is none, and containers have all addresses.
bool has_usual_gateway(const BridgeOptions& options, kernel::IpFamily family);

// One of each family at most.
std::vector<Subnet> subnets_of(const BridgeOptions& options);

class BridgeNetwork final : public Network {
  public:
    ~BridgeNetwork() override;

    Result<Endpoint> connect(const EndpointRequest& request) override;
    Result<void>
    disconnect(const std::string& endpoint_id, Detach detach = Detach::Behind) override;
    Result<std::vector<BoundPort>>
    publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports) override;
    Result<void>
    unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports) override;

    Result<void> open_to_peer(const PeerOpening& opening) override;
    Result<void> close_to_peer(const std::string& from, const std::string& to) override;

    const std::string& name() const override;
    IpAddress gateway() const override;
    std::optional<IpAddress> gateway_v6() const override;
    std::uint32_t mtu() const override;
    std::size_t endpoint_count() const override;

    const BridgeOptions& options() const; // as resolved: gateways and mtu filled in

    // Namespaces ready now, and a wait (with a deadline) until the pool is full: for benchmarks.
    std::size_t ready() const;
    bool wait_until_pool_is_full(std::chrono::milliseconds timeout) const;

  private:
    friend class NetworkDriver;
    explicit BridgeNetwork(std::unique_ptr<BridgeNetworkState> state);

    std::unique_ptr<BridgeNetworkState> state_;
};

} // namespace berth::network
