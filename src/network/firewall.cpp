// SPDX-License-Identifier: Apache-2.0
// Keeping the kernel's tables like the content that is wanted.
#include "network/firewall.h"

#include "base/log.h"
#include "kernel/netlink_conntrack.h"
#include "kernel/nftables.h"
#include "network/connection_bound.h"
#include "network/firewall_judge.h"
#include "network/firewall_sources.h"
#include "network/firewall_watch.h"
#include "network/legacy_tables.h"
#include "network/loopback_v6.h"

#include <linux/netfilter.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::IpFamily;
using kernel::NftBatch;
using kernel::NftFamily;

void add_all(
    NftBatch& batch, const std::map<std::string, std::vector<kernel::NftElement>>& elements) {
    for (const auto& [set, members] : elements) {
        batch.add_elements(set, members);
    }
}

void delete_all(
    NftBatch& batch, const std::map<std::string, std::vector<kernel::NftElement>>& elements) {
    for (const auto& [set, members] : elements) {
        batch.delete_elements(set, members);
    }
}

// There are few of them, most often one; they stay when nobody has them any more.
void write_new_bounds(
    NftBatch& batch, const std::set<std::uint32_t>& wanted, std::set<std::uint32_t>& written) {
    const std::size_t before = written.size();
    written.insert(wanted.begin(), wanted.end());
    if (written.size() != before) {
        write_bounds(batch, written);
    }
}

// Port 0 of the host: the container's own address is where the port is open.
FirewallContent::PortKey routed_key(const BoundPort& port, const ContainerAddresses& container) {
    const IpAddress address = container.of(port.host_ip.family()).value_or(IpAddress());
    return {port.protocol, address, port.container_port};
}

} // namespace

Firewall::Firewall(State state)
    : state_(std::make_unique<Synchronized<State>>(std::move(state))) {}

Firewall::Firewall(Firewall&& other) noexcept = default;
Firewall& Firewall::operator=(Firewall&& other) noexcept = default;
Firewall::~Firewall() = default;

Result<Firewall> Firewall::open(std::string table, const FirewallOptions& options) {
    kernel::NetlinkSocket socket = TRY(kernel::NetlinkSocket::open(kernel::netfilter_protocol));
    const bool counts = can_count_connections(socket, table);
    return Firewall(State{
        .socket = std::move(socket),
        .table = std::move(table),
        .content = {.options = options},
        .counts_connections = counts});
}

Result<void> Firewall::write_all(State& state) {
    if (state.content.options.host == HostFirewall::Respected) {
        state.content.judge = TRY(ensure_firewall_judge(state.table));
    } else if (!state.active) {
        TRY(remove_firewall_judge(state.table)); // of an engine that respected the host's rules
    }
    if (!state.active && state.content.options.families == FirewallFamilies::V4Alone) {
        // Of an engine that judged both families.
        TRY(leave_foreign_chains(state.socket, state.table, NftFamily::Ipv6));
    }
    state.content.carries_loopback_v6 = can_carry_loopback_v6();
    NftBatch batch(state.table);
    write_firewall(batch, state.content);
    TRY(batch.commit(state.socket));
    state.bounds.clear();
    for (const auto& [interface, endpoint] : state.content.endpoints) {
        if (endpoint.connections != 0) {
            state.bounds.insert(endpoint.connections);
        }
    }
    return pass(state);
}

Result<void> Firewall::write_again(State& state) {
    TRY(write_all(state));
    log::info("another program removed firewall rules, wrote them again", {{"table", state.table}});
    return ok();
}

Result<void> Firewall::pass(State& state) {
    TRY(pass_foreign_chains(state.socket, state.table, state.content.options.families));
    if (state.heed) {
        state.heed(TRY(find_foreign_rules(state.socket, state.table)));
    }
    return ok();
}

Result<void> Firewall::follow(State& state) {
    const FirewallOptions& options = state.content.options;
    if (!options.accepted_mark) {
        return pass(state);
    }
    const std::vector<kernel::NftChainInfo> chains = TRY(kernel::list_nft_chains(state.socket));
    const bool has_rival = std::ranges::any_of(chains, [&](const kernel::NftChainInfo& chain) {
        return chain.table != state.table && chain.hook == NF_INET_FORWARD &&
               chain.priority == forward_priority(options);
    });
    return has_rival ? write_all(state) : pass(state);
}

void Firewall::when_others_change(std::function<void(const ForeignRules&)> heed) {
    state_->lock()->heed = std::move(heed);
}

Result<void>
Firewall::apply(State& state, const FirewallElements& added, const FirewallElements& removed) {
    if (!state.active) {
        return ok();
    }
    NftBatch batch(state.table);
    delete_all(batch, removed.routed);
    write_new_bounds(batch, added.bounds, state.bounds);
    add_all(batch, added.routed);
    batch.continue_in(NftFamily::Bridge);
    delete_all(batch, removed.bridged);
    write_rates(batch, added);
    add_all(batch, added.bridged);
    const Result<void> committed = batch.commit(state.socket);
    if (committed.ok()) {
        return ok();
    }
    log::debug(
        "the firewall differs from what was written, writing it again",
        {{"table", state.table}, {"error", committed.error().message()}});
    return write_all(state);
}

Result<void> Firewall::rebuild() {
    std::string table;
    std::uint32_t port_id = 0;
    {
        auto state = state_->lock();
        TRY(write_all(*state));
        state->active = true;
        table = state->table;
        port_id = state->socket.port_id();
    }
    if (!watch_) {
        Synchronized<State>* watched = state_.get();
        const auto when_active = [watched](Result<void> (*act)(State&)) {
            return [watched, act]() -> Result<void> {
                auto state = watched->lock();
                return state->active ? act(*state) : ok();
            };
        };
        watch_ = TRY(FirewallWatch::start(
            table,
            port_id,
            {.rebuild = when_active(&Firewall::write_again),
             .follow = when_active(&Firewall::follow),
             .look = when_active(&Firewall::pass)}));
    }
    return ok();
}

Result<void> Firewall::remove() {
    auto state = state_->lock();
    state->active = false;
    NftBatch batch(state->table);
    delete_firewall(batch);
    TRY(batch.commit(state->socket));
    TRY(leave_foreign_chains(state->socket, state->table));
    return state->content.options.host == HostFirewall::Respected
               ? remove_firewall_judge(state->table)
               : ok();
}

void Firewall::lead_loopback_over(const std::string& bridge) {
    if (state_->lock()->content.options.families == FirewallFamilies::V4Alone) {
        return;
    }
    const Result<void> carried = carry_loopback_v6(bridge);
    if (!carried.ok()) {
        log::debug(
            "published ports are not reachable at [::1], ignoring",
            {{"bridge", bridge}, {"error", carried.error().message()}});
    }
}

Result<void> Firewall::add_bridge(const std::string& name, const FirewallBridge& bridge) {
    if (bridge.subnet_v6) {
        lead_loopback_over(name);
    }
    auto state = state_->lock();
    FirewallElements added;
    FirewallElements removed;
    const auto found = state->content.bridges.find(name);
    if (found != state->content.bridges.end()) {
        add_bridge_elements(removed, name, found->second);
    }
    add_bridge_elements(added, name, bridge);
    state->content.bridges.insert_or_assign(name, bridge);
    Result<void> committed = apply(*state, added, removed);
    if (!committed.ok()) {
        state->content.bridges.erase(name);
    }
    return committed;
}

Result<void> Firewall::remove_bridge(const std::string& name) {
    auto state = state_->lock();
    const auto found = state->content.bridges.find(name);
    if (found == state->content.bridges.end()) {
        return ok();
    }
    FirewallElements removed;
    add_bridge_elements(removed, name, found->second);
    state->content.bridges.erase(found);
    return apply(*state, {}, removed);
}

Result<void> Firewall::add_endpoint(const std::string& interface, FirewallEndpoint endpoint) {
    auto state = state_->lock();
    if (!state->counts_connections) {
        endpoint.connections = 0;
    }
    FirewallElements added;
    FirewallElements removed;
    const auto found = state->content.endpoints.find(interface);
    if (found != state->content.endpoints.end()) {
        add_endpoint_elements(removed, interface, found->second);
    }
    add_endpoint_elements(added, interface, endpoint);
    state->content.endpoints.insert_or_assign(interface, std::move(endpoint));
    Result<void> committed = apply(*state, added, removed);
    if (!committed.ok()) {
        state->content.endpoints.erase(interface);
    }
    return committed;
}

Result<void> Firewall::remove_endpoint(const std::string& interface) {
    auto state = state_->lock();
    const auto found = state->content.endpoints.find(interface);
    if (found == state->content.endpoints.end()) {
        return ok();
    }
    FirewallElements removed;
    add_endpoint_elements(removed, interface, found->second);
    state->content.endpoints.erase(found);
    return apply(*state, {}, removed);
}

Result<void>
Firewall::add_ports(const std::vector<BoundPort>& ports, const ContainerAddresses& container) {
    if (ports.empty()) {
        return ok();
    }
    auto state = state_->lock();
    FirewallContent& content = state->content;
    FirewallElements added;
    std::vector<FirewallContent::PortKey> keys;
    for (const BoundPort& port : ports) {
        if (port.host_port == 0) {
            const FirewallContent::PortKey key = routed_key(port, container);
            content.routed_ports.insert(key);
            keys.push_back(key);
            add_routed_port_element(added, key);
            continue;
        }
        if (!container.leads_by_firewall(port.host_ip.family())) {
            continue;
        }
        const std::optional<IpAddress>& address = container.of(port.host_ip.family());
        const FirewallContent::PortKey key{port.protocol, port.host_ip, port.host_port};
        const FirewallContent::Target target{*address, port.container_port};
        content.ports.insert_or_assign(key, target);
        keys.push_back(key);
        add_port_element(added, key, target);
    }
    Result<void> committed = apply(*state, added, {});
    if (!committed.ok()) {
        for (const FirewallContent::PortKey& key : keys) {
            content.ports.erase(key);
            content.routed_ports.erase(key);
        }
    }
    return committed;
}

Result<void>
Firewall::remove_ports(const std::vector<BoundPort>& ports, const ContainerAddresses& container) {
    auto state = state_->lock();
    FirewallElements removed;
    for (const BoundPort& port : ports) {
        if (port.host_port == 0) {
            const FirewallContent::PortKey key = routed_key(port, container);
            if (state->content.routed_ports.erase(key) != 0) {
                add_routed_port_element(removed, key);
            }
            continue;
        }
        const FirewallContent::PortKey key{port.protocol, port.host_ip, port.host_port};
        const auto found = state->content.ports.find(key);
        if (found != state->content.ports.end()) {
            add_port_element(removed, key, found->second);
            state->content.ports.erase(found);
        }
    }
    return removed.routed.empty() ? ok() : apply(*state, {}, removed);
}

Result<void> Firewall::add_links(const std::set<FirewallContent::Link>& links) {
    auto state = state_->lock();
    FirewallElements added;
    std::vector<FirewallContent::Link> fresh;
    for (const FirewallContent::Link& link : links) {
        if (state->content.links.insert(link).second) {
            fresh.push_back(link);
            add_link_element(added, link);
        }
    }
    if (fresh.empty()) {
        return ok();
    }
    Result<void> committed = apply(*state, added, {});
    if (!committed.ok()) {
        for (const FirewallContent::Link& link : fresh) {
            state->content.links.erase(link);
        }
    }
    return committed;
}

Result<void> Firewall::remove_links(const IpAddress& one, const std::optional<IpAddress>& other) {
    auto state = state_->lock();
    FirewallElements removed;
    std::erase_if(state->content.links, [&](const FirewallContent::Link& link) {
        const auto& [from, to, protocol, port] = link;
        const bool goes = other ? from == one && to == *other : from == one || to == one;
        if (goes) {
            add_link_element(removed, link);
        }
        return goes;
    });
    return removed.routed.empty() ? ok() : apply(*state, {}, removed);
}

void Firewall::forget_datagram_flows(
    const std::vector<BoundPort>& ports, const ContainerAddresses& container) {
    constexpr auto udp = static_cast<std::uint8_t>(Protocol::Udp);
    std::vector<kernel::ConnectionMatch> matches;
    for (const IpFamily family : {IpFamily::V4, IpFamily::V6}) {
        // A relayed port has no flows of its own, and no address is not any address.
        if (!container.of(family)) {
            continue;
        }
        bool published = false;
        for (const BoundPort& port : ports) {
            if (port.protocol == Protocol::Udp && port.host_ip.family() == family) {
                matches.push_back(
                    {.family = family, .protocol = udp, .destination_port = port.host_port});
                published = true;
            }
        }
        if (published) {
            matches.push_back(
                {.family = family, .protocol = udp, .reply_source = container.of(family)});
        }
    }
    if (matches.empty()) {
        return;
    }
    auto state = state_->lock();
    for (const kernel::ConnectionMatch& match : matches) {
        const Result<std::size_t> forgotten = kernel::forget_connections(state->socket, match);
        if (!forgotten.ok()) {
            log::debug(
                "cannot forget tracked connections, ignoring",
                {{"error", forgotten.error().message()}});
            return;
        }
    }
}

Result<std::vector<std::string>> Firewall::foreign_obstacles() {
    auto state = state_->lock();
    std::vector<std::string> obstacles;
    for (const kernel::NftChainInfo& chain : TRY(kernel::list_nft_chains(state->socket))) {
        const bool routed = chain.family == NFPROTO_IPV4 || chain.family == NFPROTO_IPV6 ||
                            chain.family == NFPROTO_INET;
        const bool is_ours_to_pass =
            routed && (chain.family != NFPROTO_IPV6 ||
                       state->content.options.families == FirewallFamilies::Both);
        if (is_ours_to_pass && chain.hook == NF_INET_FORWARD && chain.policy == NF_DROP &&
            !is_adaptable(chain)) {
            obstacles.push_back(
                "chain " + chain.name + " of table " + chain.table +
                " drops forwarded packets that it does not accept");
        }
    }
    std::ranges::copy(legacy_obstacles(), std::back_inserter(obstacles));
    return obstacles;
}

} // namespace berth::network
