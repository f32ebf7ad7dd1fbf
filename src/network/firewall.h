// SPDX-License-Identifier: Apache-2.0
// The engine's nf_tables table: masquerade, isolation and published ports of all its networks. What
// should be in force is kept here, the kernel's copy follows it: a change is a few elements in one
// transaction, and when that fails (somebody flushed the ruleset) the whole table is written again.
// Thread-safe.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "kernel/netlink_socket.h"
#include "network/port_publisher.h"

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace berth::kernel {
class NftBatch;
}

namespace berth::network {

struct FirewallBridge {
    kernel::IpPrefix subnet;
    bool inter_container = true;
    bool masquerade = true;
    bool internal = false;
};

class Firewall {
  public:
    // Nothing is written before rebuild(): until then changes only gather.
    static Result<Firewall> open(std::string table);

    // Replaces the whole table in one transaction.
    Result<void> rebuild();
    // Deletes the table.
    Result<void> remove();

    Result<void> add_bridge(const std::string& name, const FirewallBridge& bridge);
    Result<void> remove_bridge(const std::string& name);
    Result<void>
    add_ports(const std::vector<BoundPort>& ports, const kernel::IpAddress& container_ip);
    Result<void> remove_ports(const std::vector<BoundPort>& ports);

    // Makes clients that go on sending datagrams meet the rules as they are now: those to the
    // ports, and those that the container answered. TCP clients notice by themselves.
    void forget_datagram_flows(
        const std::vector<BoundPort>& ports, const kernel::IpAddress& container_ip);

    // Rules of others that stop what these rules allow, in words for a log: an accept here does not
    // overrule a base chain elsewhere that drops.
    Result<std::vector<std::string>> foreign_obstacles();

  private:
    using PortKey = std::tuple<Protocol, kernel::IpAddress, std::uint16_t>;
    using Target = std::pair<kernel::IpAddress, std::uint16_t>;

    struct State {
        kernel::NetlinkSocket socket;
        std::string table;
        std::map<std::string, FirewallBridge> bridges;
        std::map<PortKey, Target> ports;
        bool active = false;
    };

    explicit Firewall(State state)
        : state_(std::make_unique<Synchronized<State>>(std::move(state))) {}

    static Result<void> write_all(State& state);
    static Result<void> commit_or_write_all(State& state, kernel::NftBatch& batch);

    std::unique_ptr<Synchronized<State>> state_;
};

} // namespace berth::network
