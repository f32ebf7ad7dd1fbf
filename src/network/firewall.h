// SPDX-License-Identifier: Apache-2.0
// The engine's nf_tables tables: masquerade, isolation, published ports and honest sources of all
// its networks, for IPv4 and IPv6. What should be in force is kept here, the kernel's copy follows
// it: a change is a few elements in one transaction, and when that fails (somebody flushed the
// ruleset) the whole tables are written again. Thread-safe.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "kernel/netlink_socket.h"
#include "network/firewall_content.h"
#include "network/foreign_chains.h"
#include "network/port_publisher.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace berth::kernel {
class NftBatch;
}

namespace berth::network {

class FirewallWatch;

class Firewall {
  public:
    // Nothing is written before rebuild(): until then changes only gather.
    static Result<Firewall> open(std::string table, const FirewallOptions& options = {});
    Firewall(Firewall&& other) noexcept;
    Firewall& operator=(Firewall&& other) noexcept;
    ~Firewall();

    // Called whenever other programs' rules may have changed, from the watch's thread too, and once
    // in rebuild(). REQUIRES: before rebuild().
    void when_others_change(std::function<void(const ForeignRules&)> heed);

    // Replaces the whole tables in one transaction. From here on they are watched
    // (firewall_watch.h).
    Result<void> rebuild();
    // Deletes the tables.
    Result<void> remove();

    Result<void> add_bridge(const std::string& name, const FirewallBridge& bridge);
    // Ports of containers with IPv6 on this bridge are reached at [::1]. Part of add_bridge();
    // again for another bridge of the name.
    void lead_loopback_over(const std::string& bridge);
    Result<void> remove_bridge(const std::string& name);

    // From here on the interface carries only what comes from these addresses. Again for one that
    // is there: replaces what was said before.
    Result<void> add_endpoint(const std::string& interface, FirewallEndpoint endpoint);
    Result<void> remove_endpoint(const std::string& interface);

    Result<void>
    add_ports(const std::vector<BoundPort>& ports, const ContainerAddresses& container);
    Result<void>
    remove_ports(const std::vector<BoundPort>& ports, const ContainerAddresses& container);

    // What is there already stays.
    Result<void> add_links(const std::set<FirewallContent::Link>& links);
    // All from `one` to `other`; all of `one`, in both directions, without the other.
    Result<void>
    remove_links(const kernel::IpAddress& one, const std::optional<kernel::IpAddress>& other = {});

    // Makes clients that go on sending datagrams meet the rules as they are now: those to the
    // ports, and those that the container answered. TCP clients notice by themselves.
    void
    forget_datagram_flows(const std::vector<BoundPort>& ports, const ContainerAddresses& container);

    // Rules of others that stop what these rules allow, in words for a log: an accept here does not
    // overrule a base chain elsewhere that drops.
    Result<std::vector<std::string>> foreign_obstacles();

  private:
    struct State {
        kernel::NetlinkSocket socket;
        std::string table;
        FirewallContent content{};
        bool active = false;
        std::function<void(const ForeignRules&)> heed{};
        bool counts_connections = true;   // the kernel can
        std::set<std::uint32_t> bounds{}; // that the tables have rules for
    };

    explicit Firewall(State state);

    static Result<void> write_all(State& state);
    static Result<void> write_again(State& state);
    // What is let through here is let through by others' chains too (foreign_chains.h).
    static Result<void> pass(State& state);
    // Another program has a new chain: ours may have to be younger (forward_priority()).
    static Result<void> follow(State& state);
    // Takes `removed` out and puts `added` in; the whole tables when that fails.
    static Result<void>
    apply(State& state, const FirewallElements& added, const FirewallElements& removed);

    std::unique_ptr<Synchronized<State>> state_;
    std::unique_ptr<FirewallWatch> watch_; // ends before the state that it writes
};

} // namespace berth::network
