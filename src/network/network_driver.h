// SPDX-License-Identifier: Apache-2.0
// One engine's networks. A NetworkDriver holds what they share: the nf_tables table, the pool of
// prepared network namespaces, and the threads that clean up behind. Everything is keyed by bridge
// name and table name, so that several engines live side by side. Thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "network/cni_attachments.h"
#include "network/drivers/bridge_network.h"
#include "network/drivers/cni_network.h"
#include "network/drivers/sublink_network.h"
#include "network/firewall_options.h"
#include "network/subnet_pools.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::network {

struct NetworkRecord {
    BridgeOptions options;
    std::vector<EndpointRecord> endpoints;
    bool is_optional = false; // the others start without it when it cannot be made again
    std::optional<SublinkOptions> sublink{}; // then this instead of a bridge
    std::optional<CniOptions> cni{};         // then this
};

class NetworkDriver {
  public:
    struct Options {
        std::string table = "berth"; // nf_tables table, one per engine
        // Networks and endpoints that were there before a restart. Their rules are rebuilt in one
        // transaction, ports are reserved again, what is on the bridges and unknown is removed, and
        // so are bridges that an engine with this table made and that are not listed here.
        std::vector<NetworkRecord> networks;
        // Without rules for IPv6 all IPv6 ports of the host are relayed, as far as relays_ports
        // lets them; nothing is masqueraded, and networks are open to each other.
        FirewallOptions firewall{};
        // IPv6 ports of the host lead to containers without IPv6 too, through this process. Without
        // it such ports are not published; those that containers have already stay.
        bool relays_ports = true;
        std::size_t isolated_pool_size = 0; // ready namespaces for network mode "none"
        std::size_t loose_pool_size = 0;    // ready namespaces that fit any bridge
        // Written in each new namespace. Docker's: containers may bind low ports and ping.
        std::vector<std::pair<std::string, std::string>> sysctls = {
            {"net.ipv4.ip_unprivileged_port_start", "0"},
            {"net.ipv4.ping_group_range", "0 2147483647"},
        };
        std::vector<SubnetPool> subnet_pools = default_subnet_pools();
        CniAttachments::Options cni{}; // what it has on its disk and nobody knows is taken off
    };

    // Conflict when another engine that runs in this network namespace has the table or one of the
    // bridges.
    static Result<std::unique_ptr<NetworkDriver>> start(const Options& options);

    // Leaves bridges, rules and endpoints as they are: containers go on. Ready namespaces and
    // reservation sockets go.
    ~NetworkDriver();
    NetworkDriver(const NetworkDriver&) = delete;
    NetworkDriver& operator=(const NetworkDriver&) = delete;

    // Uses a bridge of that name if there is one. Forbidden, in Docker's words, when a subnet
    // overlaps with another network of this driver.
    Result<std::shared_ptr<BridgeNetwork>> create(const BridgeOptions& options);
    // Forbidden, too, when another network has the parent: a macvlan one when either of the two is
    // in passthru mode, an ipvlan one always.
    Result<std::shared_ptr<SublinkNetwork>> create(const SublinkOptions& options);
    // NotFound for a configuration or a plugin that is not there, Unavailable when the plugins say
    // that they cannot take containers.
    Result<std::shared_ptr<CniNetwork>> create(const CniOptions& options);
    std::shared_ptr<Network> find(const std::string& name) const;

    // Removes the network and its rules; its interfaces go behind. Forbidden while endpoints are
    // connected.
    Result<void> remove(const std::string& name);

    // A namespace with nothing but lo, up.
    Result<UniqueFd> create_isolated_namespace();
    // Makes a new one of somebody else's like that. `other` are sysctls that it is to have instead.
    Result<void> set_up_namespace(
        FdRef netns, const std::vector<std::pair<std::string, std::string>>& other) const;

    // A subnet of the address pools (Docker's by default: 172.17.0.0/16 … 172.31.0.0/16,
    // 192.168.0.0/20 …) that overlaps with no network of this driver and no route of the host. It
    // is nobody's until a network is created with it.
    Result<IpPrefix> pick_subnet(kernel::IpFamily family = kernel::IpFamily::V4);

    // What on this host stops containers' traffic although our rules let it through (another
    // program's FORWARD policy), in words for the log. Empty is well.
    Result<std::vector<std::string>> foreign_obstacles() const;

    // Orderly end of everything: all networks, connected endpoints included, and the table.
    Result<void> remove_all();

    // Waits until what disconnect() and earlier engines left behind is removed: for tests and an
    // orderly shutdown.
    void wait_until_removed();

  private:
    struct State;
    explicit NetworkDriver(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::network
