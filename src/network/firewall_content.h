// SPDX-License-Identifier: Apache-2.0
// What the engine's tables say, as data: which bridges, endpoints and ports there are, and what
// they become in the kernel. Rules are few and the same for every network; networks, containers and
// ports are elements of sets and maps, so that a packet's way does not grow with their number.
#pragma once

#include "kernel/netlink_address.h"
#include "kernel/nftables.h"
#include "network/firewall_options.h"
#include "network/port_publisher.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace berth::network {

// How a network's containers meet the world outside; Docker's gateway_mode_ipv4 and _ipv6.
enum class FirewallMode : std::uint8_t {
    Nat,            // masqueraded, reached by published host ports only
    NatUnprotected, // the same, and every port is open to whoever has a route
    Routed,         // own addresses, no masquerade: published container ports are open
    Isolated,       // internal, and the host has no address in the network
};

struct FirewallBridge {
    kernel::IpPrefix subnet{}; // IPv4; length 0: none
    bool inter_container = true;
    bool masquerade = true;
    bool internal = false;
    std::optional<kernel::IpPrefix> subnet_v6{};
    FirewallMode mode_v4 = FirewallMode::Nat;
    FirewallMode mode_v6 = FirewallMode::Nat;
    // The way out carries this source instead of the outgoing interface's address.
    std::optional<kernel::IpAddress> source_v4{};
    std::optional<kernel::IpAddress> source_v6{};
    // What comes in by these interfaces of the host may reach every port of the containers.
    std::vector<std::string> trusted_interfaces{};
};

// Of the chain that judges what is forwarded. It comes before those of others, at 0, which must see
// what we let through as marked (foreign_chains.h). Where others' marks are accepted it comes after
// those at -1, which may set them as with Docker; of chains of one priority the kernel asks the
// youngest first.
constexpr std::int32_t forward_priority(const FirewallOptions& options) {
    return options.accepted_mark ? 0 : -1;
}

struct FirewallEndpoint {
    std::string bridge{};
    kernel::MacAddress mac{};
    std::vector<kernel::IpAddress> addresses{}; // of both families; the link-local one is implied
    // Whatever it likes may come from it: for containers that are routers or switches themselves.
    bool any_source = false;
    std::uint64_t egress = 0; // bytes per second that it may send; 0: as fast as it goes
    // That each of its addresses may have open and tracked at a time; 0: as many as it likes.
    std::uint32_t connections = 0;
};

// The way by which published traffic passes the host's own rules: see firewall_judge.h.
struct FirewallJudge {
    int output_index = 0;          // copies go out here
    kernel::IpAddress neighbor_v4; // to this neighbor
    kernel::IpAddress neighbor_v6;
    std::string input_interface; // and come in again here
    std::uint32_t mark = 0;      // from when they were let in until they have come in again
};

// Elements of sets and maps, by the set's name; those of the two tables apart.
struct FirewallElements {
    std::map<std::string, std::vector<kernel::NftElement>> routed;  // family inet
    std::map<std::string, std::vector<kernel::NftElement>> bridged; // family bridge
    std::set<std::uint32_t> bounds; // connection_bound.h, of those among them
};

struct FirewallContent {
    using PortKey = std::tuple<Protocol, kernel::IpAddress, std::uint16_t>;
    using Target = std::pair<kernel::IpAddress, std::uint16_t>;
    // Who, to whom, and at which port.
    using Link = std::tuple<kernel::IpAddress, kernel::IpAddress, Protocol, std::uint16_t>;

    std::map<std::string, FirewallBridge> bridges;
    std::map<std::string, FirewallEndpoint> endpoints; // by the interface on the host
    std::map<PortKey, Target> ports;
    // Container ports that are open at the container's own address.
    std::set<PortKey> routed_ports;
    // What is open between two containers of a network that keeps its containers apart. IPv4.
    std::set<Link> links;
    std::optional<FirewallJudge> judge;
    bool carries_loopback_v6 = true; // loopback_v6.h
    FirewallOptions options{};
};

void add_bridge_elements(
    FirewallElements& elements, const std::string& name, const FirewallBridge& bridge);
void add_endpoint_elements(
    FirewallElements& elements, const std::string& interface, const FirewallEndpoint& endpoint);
void add_port_element(
    FirewallElements& elements,
    const FirewallContent::PortKey& key,
    const FirewallContent::Target& target);
void add_routed_port_element(FirewallElements& elements, const FirewallContent::PortKey& key);
void add_link_element(FirewallElements& elements, const FirewallContent::Link& link);

void delete_firewall(kernel::NftBatch& batch);
// Everything, in place of what the tables held.
void write_firewall(kernel::NftBatch& batch, const FirewallContent& content);

// The link-local address that an interface with this MAC gives itself.
kernel::IpAddress link_local_address(const kernel::MacAddress& mac);

} // namespace berth::network
