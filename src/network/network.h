// SPDX-License-Identifier: Apache-2.0
// A network that containers join, whatever it is made of: a bridge (drivers/bridge_network.h) or
// another of the family in drivers/. The contract that all keep is network_contract.h.
//
//   auto driver = TRY(NetworkDriver::start({.table = "berth", .networks = records}));
//   auto network = TRY(driver->create({.name = "berth0", .subnet =
//   TRY(IpPrefix::parse("172.17.0.0/16"))}));
//   Endpoint endpoint = TRY(network->connect({.id = endpoint_id, .container_name = "web"}));
//   ... endpoint.netns is joined by the container's init; the caller may close it afterwards ...
//   network->disconnect(endpoint_id);
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/netlink_address.h"
#include "network/port_publisher.h"
#include "network/rate_limit.h"
#include "network/resolv_conf.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::network {

using kernel::IpAddress;
using kernel::IpPrefix;
using kernel::MacAddress;

inline constexpr std::size_t longest_interface_name = 15;
inline constexpr std::uint32_t default_mtu = 1500;
inline constexpr std::uint32_t smallest_ipv6_mtu = 1280; // below it a link has no IPv6 to set up

inline Error no_endpoint(const std::string& id) {
    return not_found("endpoint " + id + " not found");
}

struct EndpointRequest {
    std::string id;             // endpoint id, unique in the network
    std::string container_name; // for error sentences
    std::vector<PortRequest> ports;
    std::optional<IpAddress> ip;         // --ip
    std::optional<MacAddress> mac;       // --mac-address; default 02:42 and the IP's bytes
    std::string interface_name = "eth0"; // within the container
    const UniqueFd* netns = nullptr;     // join this namespace (`network connect`); else a new one
    bool default_route = true;
    std::optional<IpAddress> ip_v6{}; // --ip6
    bool default_route_v6 = true;
    bool disable_ipv6 = false;           // no IPv6 in this container although the network has it
    std::vector<IpAddress> link_local{}; // further addresses of the interface
    // Of the interface: "net.ipv4.conf.IFNAME.log_martians" -> "1".
    std::vector<std::pair<std::string, std::string>> sysctls{};
    RateLimits rates{};
    std::uint32_t connections = 0; // FirewallEndpoint's
    // For networks that others make (drivers/cni_network.h): the container's names, its DNS
    // settings, and what the user has to say to them.
    std::vector<std::string> aliases{};
    ResolvConf dns{};
    std::vector<std::pair<std::string, std::string>> arguments{};
};

// A container's place in a network.
struct Endpoint {
    std::string id;
    UniqueFd netns; // the new namespace, with lo up; empty when the request brought one
    IpAddress ip;   // 0.0.0.0 in a network without IPv4
    std::uint8_t prefix_length = 0;
    IpAddress gateway; // 0.0.0.0: none
    MacAddress mac;
    std::string host_interface; // the veth's end on the host; the engine's records keep it
    std::string interface_name;
    std::vector<BoundPort> ports;
    std::optional<IpAddress> ip_v6{};
    std::uint8_t prefix_length_v6 = 0;
    std::optional<IpAddress> gateway_v6{};
    ResolvConf dns{}; // that the network itself has, for who has no other
};

// What the engine's records must keep about an endpoint of a running container.
struct EndpointRecord {
    std::string id;
    std::string container_name;
    IpAddress ip;
    MacAddress mac;
    std::string host_interface;
    std::vector<BoundPort> ports;
    std::optional<IpAddress> ip_v6{};
    std::vector<IpAddress> link_local{};
    RateLimits rates{};
    std::uint32_t connections = 0;
};

// Ports of an endpoint that another one reaches although the network keeps its containers apart.
struct PeerOpening {
    std::string from; // endpoint ids
    std::string to;
    std::vector<std::pair<Protocol, std::uint16_t>> ports;
};

enum class Detach : std::uint8_t {
    Behind, // the container has ended: the interface disappears soon, nobody waits for it
    Now,    // the container runs on: its interface is gone when disconnect() returns
};

// Thread-safe.
class Network {
  public:
    virtual ~Network() = default;
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    // Conflict "Address already in use" for a taken address; port conflicts in Docker's words with
    // "driver failed programming external connectivity on endpoint <name> (<id>): " before them.
    // On an error nothing is left behind.
    virtual Result<Endpoint> connect(const EndpointRequest& request) = 0;

    // An unknown id is NotFound. Does not wait for the kernel's removal of the interface unless
    // Detach::Now; the endpoint is silent at once and its addresses and ports are free.
    virtual Result<void>
    disconnect(const std::string& endpoint_id, Detach detach = Detach::Behind) = 0;

    // Adds published ports to, or takes them from, a connected endpoint.
    virtual Result<std::vector<BoundPort>>
    publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports) = 0;
    virtual Result<void>
    unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports) = 0;

    // Until one of the two is disconnected, or close_to_peer(). In a network whose containers reach
    // each other anyway there is nothing to do. NotFound for an endpoint that is not connected.
    virtual Result<void> open_to_peer(const PeerOpening& /*opening*/) { return ok(); }

    virtual Result<void> close_to_peer(const std::string& /*from*/, const std::string& /*to*/) {
        return ok();
    }

    // A container of an earlier engine is there still, in this namespace, with this interface.
    virtual void
    adopt(const std::string& /*endpoint_id*/, FdRef /*netns*/, const std::string& /*interface*/) {}

    virtual const std::string& name() const = 0;
    // What containers send to what is not in the network; 0.0.0.0 and nullopt: nothing.
    virtual IpAddress gateway() const = 0;
    virtual std::optional<IpAddress> gateway_v6() const = 0;

    // Containers reach what is not in the network over their interface alone, without a gateway.
    virtual bool leads_out_by_interface() const { return false; }

    virtual std::uint32_t mtu() const = 0;
    virtual std::size_t endpoint_count() const = 0;

  protected:
    Network() = default;
};

} // namespace berth::network
