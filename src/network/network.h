// SPDX-License-Identifier: Apache-2.0
// Bridge networks: the bridge, its firewall rules, and the endpoints that join containers to it.
// One NetworkDriver per engine holds what the networks share: the nf_tables table, the pool of
// prepared network namespaces, and the threads that clean up behind. Everything is keyed by bridge
// name and table name, so that several engines live side by side.
//
//   auto driver = TRY(NetworkDriver::start({.table = "berth", .networks = records_from_database}));
//   auto network = TRY(driver->create({.name = "berth0", .subnet =
//   TRY(IpPrefix::parse("172.17.0.0/16"))})); Endpoint endpoint = TRY(network->connect({.id =
//   endpoint_id, .container_name = "web", .ports = …}));
//   ... endpoint.netns is joined by the container's init; the caller may close it afterwards ...
//   network->disconnect(endpoint_id);
//
// All classes here are thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/netlink_address.h"
#include "network/port_publisher.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::network {

using kernel::IpAddress;
using kernel::IpPrefix;
using kernel::MacAddress;

struct BridgeOptions {
    std::string name; // the interface's name, at most 15 bytes: "berth0", "br-1a2b3c4d5e6f"
    IpPrefix subnet;
    std::optional<IpAddress> gateway;  // default: the subnet's first address
    std::optional<IpPrefix> ip_range;  // containers' addresses come from here; default: the subnet
    std::vector<IpAddress> reserved;   // never given to a container (Docker's aux-address)
    std::uint32_t mtu = 0;             // 0: that of the link of the default route, else 1500
    bool inter_container = true;       // Docker's enable_icc
    bool masquerade = true;            // Docker's enable_ip_masquerade
    bool internal = false;             // no way out, no published ports, no default route
    std::size_t pool_size = 0;         // namespaces kept ready with a veth pair on this bridge
    std::optional<IpPrefix> subnet_v6; // NotImplemented until IPv6 networks are built
};

struct EndpointRequest {
    std::string id;             // endpoint id, unique in the network
    std::string container_name; // for error sentences
    std::vector<PortRequest> ports;
    std::optional<IpAddress> ip;         // --ip
    std::optional<MacAddress> mac;       // --mac-address; default 02:42 and the IP's bytes
    std::string interface_name = "eth0"; // within the container
    const UniqueFd* netns = nullptr;     // join this namespace (`network connect`); else a new one
    bool default_route = true;
};

// A container's place in a network.
struct Endpoint {
    std::string id;
    UniqueFd netns; // the new namespace, with lo up; empty when the request brought one
    IpAddress ip;
    std::uint8_t prefix_length = 0;
    IpAddress gateway;
    MacAddress mac;
    std::string host_interface; // the veth's end on the host; the engine's records keep it
    std::string interface_name;
    std::vector<BoundPort> ports;
};

// What the engine's records must keep about an endpoint of a running container.
struct EndpointRecord {
    std::string id;
    std::string container_name;
    IpAddress ip;
    MacAddress mac;
    std::string host_interface;
    std::vector<BoundPort> ports;
};

struct NetworkRecord {
    BridgeOptions options;
    std::vector<EndpointRecord> endpoints;
};

enum class Detach : std::uint8_t {
    Behind, // the container has ended: the interface disappears soon, nobody waits for it
    Now,    // the container runs on: its interface is gone when disconnect() returns
};

class BridgeNetwork {
  public:
    ~BridgeNetwork();
    BridgeNetwork(const BridgeNetwork&) = delete;
    BridgeNetwork& operator=(const BridgeNetwork&) = delete;

    // Conflict "Address already in use" for a taken address; port conflicts in Docker's words with
    // "driver failed programming external connectivity on endpoint <name> (<id>): " before them.
    // On an error nothing is left behind.
    Result<Endpoint> connect(const EndpointRequest& request);

    // An unknown id is NotFound. Does not wait for the kernel's removal of the veth pair unless
    // Detach::Now; the endpoint is silent at once and its address and ports are free.
    Result<void> disconnect(const std::string& endpoint_id, Detach detach = Detach::Behind);

    // Adds published ports to, or takes them from, a connected endpoint.
    Result<std::vector<BoundPort>>
    publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports);
    Result<void> unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports);

    const std::string& name() const;
    const BridgeOptions& options() const; // as resolved: gateway and mtu filled in
    IpAddress gateway() const;
    std::uint32_t mtu() const;
    std::size_t endpoint_count() const;

    // Namespaces ready now, and a wait (with a deadline) until the pool is full: for benchmarks.
    std::size_t ready() const;
    bool wait_until_pool_is_full(std::chrono::milliseconds timeout) const;

  private:
    friend class NetworkDriver;
    struct State;
    explicit BridgeNetwork(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

class NetworkDriver {
  public:
    struct Options {
        std::string table = "berth"; // nf_tables table (family ip), one per engine
        // Networks and endpoints that were there before a restart. Their rules are rebuilt in one
        // transaction, ports are reserved again, what is on the bridges and unknown is removed.
        std::vector<NetworkRecord> networks;
        std::size_t isolated_pool_size = 0; // ready namespaces for network mode "none"
        // Written in each new namespace. Docker's: containers may bind low ports and ping.
        std::vector<std::pair<std::string, std::string>> sysctls = {
            {"net.ipv4.ip_unprivileged_port_start", "0"},
            {"net.ipv4.ping_group_range", "0 2147483647"},
        };
    };

    // Conflict when another engine that runs in this network namespace has the table or one of the
    // bridges.
    static Result<std::unique_ptr<NetworkDriver>> start(Options options);

    // Leaves bridges, rules and endpoints as they are: containers go on. Ready namespaces and
    // reservation sockets go.
    ~NetworkDriver();
    NetworkDriver(const NetworkDriver&) = delete;
    NetworkDriver& operator=(const NetworkDriver&) = delete;

    // Uses a bridge of that name if there is one. Forbidden, in Docker's words, when the subnet
    // overlaps with another network of this driver.
    Result<std::shared_ptr<BridgeNetwork>> create(const BridgeOptions& options);
    std::shared_ptr<BridgeNetwork> find(const std::string& name) const;

    // Removes the bridge and its rules. Forbidden while endpoints are connected.
    Result<void> remove(const std::string& name);

    // A namespace with nothing but lo, up.
    Result<UniqueFd> create_isolated_namespace();

    // A subnet of Docker's default address pools (172.17.0.0/16 … 172.31.0.0/16, 192.168.0.0/20 …)
    // that overlaps with no network of this driver and no route of the host.
    Result<IpPrefix> pick_subnet() const;

    // What on this host stops containers' traffic although our rules let it through (another
    // program's FORWARD policy), in words for the log. Empty is well.
    Result<std::vector<std::string>> foreign_obstacles() const;

    // Orderly end of everything: all networks, connected endpoints included, and the table.
    Result<void> remove_all();

    // Waits until what disconnect() left behind is removed: for tests and an orderly shutdown.
    void wait_until_removed();

  private:
    struct State;
    explicit NetworkDriver(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::network
