// SPDX-License-Identifier: Apache-2.0
// The table's content. Rules are few and the same for every network; networks and ports are
// elements of sets and maps, so that a packet's way does not grow with their number.
#include "network/firewall.h"

#include "base/log.h"
#include "kernel/netlink_conntrack.h"
#include "kernel/nftables.h"

#include <linux/netfilter.h>

#include <cerrno>

namespace berth::network {
namespace {

using kernel::NftBatch;
using kernel::NftElement;
using kernel::NftHook;
using kernel::NftPortKey;
using kernel::NftType;
using kernel::NftValue;

const std::string bridges_set = "bridges";       // every bridge of ours
const std::string internal_set = "internal";     // those without a way out
const std::string open_pairs_set = "open_pairs"; // (bridge, same bridge) where containers may talk
const std::string ports_map = "ports";           // published on every address of the host
const std::string address_ports_map = "ports_by_address";

constexpr std::int32_t raw_priority = -300; // before connection tracking
constexpr std::int32_t destination_nat_priority = -100;
constexpr std::int32_t source_nat_priority = 100;

kernel::IpPrefix loopback_network() {
    return {kernel::IpAddress::from_v4(0x7f000000), 8};
}

void write_sets(NftBatch& batch) {
    const std::vector<NftType> target{NftType::Ipv4Address, NftType::Port};
    batch.add_set({.name = bridges_set, .key = {NftType::InterfaceName}, .data = {}});
    batch.add_set({.name = internal_set, .key = {NftType::InterfaceName}, .data = {}});
    batch.add_set(
        {.name = open_pairs_set,
         .key = {NftType::InterfaceName, NftType::InterfaceName},
         .data = {}});
    batch.add_set({.name = ports_map, .key = {NftType::Protocol, NftType::Port}, .data = target});
    batch.add_set(
        {.name = address_ports_map,
         .key = {NftType::Ipv4Address, NftType::Protocol, NftType::Port},
         .data = target});
}

void write_chains(NftBatch& batch) {
    batch.add_chain("publish");
    batch.rule("publish").dnat(NftPortKey::AddressProtocolAndPort, address_ports_map);
    batch.rule("publish").dnat(NftPortKey::ProtocolAndPort, ports_map);

    batch.add_base_chain(
        "prerouting",
        {.type = "nat", .hook = NftHook::Prerouting, .priority = destination_nat_priority});
    batch.rule("prerouting").if_destination_is_local().jump("publish");
    // The host's own connections to a published port, localhost included.
    batch.add_base_chain(
        "output", {.type = "nat", .hook = NftHook::Output, .priority = destination_nat_priority});
    batch.rule("output").if_destination_is_local().jump("publish");

    // route_localnet on a bridge lets its packets reach 127.0.0.0/8, which published ports on
    // localhost need for the answers. Answers carry the bridge's address until connection tracking
    // has turned them round; whatever has a loopback address before that is forged by a container.
    batch.add_base_chain(
        "guard", {.type = "filter", .hook = NftHook::Prerouting, .priority = raw_priority});
    batch.rule("guard").if_input_in(bridges_set).if_destination_in(loopback_network()).drop();

    batch.add_base_chain("forward", {.type = "filter", .hook = NftHook::Forward, .priority = 0});
    batch.rule("forward").if_established().accept();
    batch.rule("forward").if_input_and_output_in(open_pairs_set).accept();
    batch.rule("forward").if_input_in(internal_set).drop();
    batch.rule("forward").if_output_in(internal_set).drop();
    batch.rule("forward").if_output_in(bridges_set).if_destination_changed().accept();
    batch.rule("forward").if_output_in(bridges_set).drop();

    batch.add_base_chain(
        "postrouting",
        {.type = "nat", .hook = NftHook::Postrouting, .priority = source_nat_priority});
}

void write_postrouting(NftBatch& batch, const std::map<std::string, FirewallBridge>& bridges) {
    // A connection to localhost leaves for the container with a source that it can answer to.
    batch.rule("postrouting")
        .if_source_in(loopback_network())
        .if_output_in(bridges_set)
        .masquerade();
    for (const auto& [name, bridge] : bridges) {
        // From a container to a published port of its own network: without this the answer would
        // take the short way through the bridge and come from an address that was never asked.
        batch.rule("postrouting")
            .if_source_in(bridge.subnet)
            .if_output_is(name)
            .if_destination_changed()
            .masquerade();
        if (bridge.masquerade && !bridge.internal) {
            batch.rule("postrouting")
                .if_source_in(bridge.subnet)
                .if_output_is_not(name)
                .masquerade();
        }
    }
}

NftElement interface_element(const std::string& name) {
    return {.key = NftValue().interface(name), .data = {}};
}

NftElement pair_element(const std::string& name) {
    return {.key = NftValue().interface(name).interface(name), .data = {}};
}

void add_bridge_elements(NftBatch& batch, const std::string& name, const FirewallBridge& bridge) {
    batch.add_elements(bridges_set, {interface_element(name)});
    if (bridge.inter_container) {
        batch.add_elements(open_pairs_set, {pair_element(name)});
    }
    if (bridge.internal) {
        batch.add_elements(internal_set, {interface_element(name)});
    }
}

void delete_bridge_elements(
    NftBatch& batch, const std::string& name, const FirewallBridge& bridge) {
    batch.delete_elements(bridges_set, {interface_element(name)});
    if (bridge.inter_container) {
        batch.delete_elements(open_pairs_set, {pair_element(name)});
    }
    if (bridge.internal) {
        batch.delete_elements(internal_set, {interface_element(name)});
    }
}

// The elements of the two port maps.
struct PortElements {
    std::vector<NftElement> everywhere;
    std::vector<NftElement> by_address;

    void
    add(const std::tuple<Protocol, kernel::IpAddress, std::uint16_t>& key,
        const std::pair<kernel::IpAddress, std::uint16_t>& target) {
        const auto& [protocol, host_ip, host_port] = key;
        const std::uint8_t number = static_cast<std::uint8_t>(protocol);
        NftValue data = NftValue().address(target.first).port(target.second);
        if (host_ip.is_unspecified()) {
            everywhere.push_back(
                {.key = NftValue().protocol(number).port(host_port), .data = std::move(data)});
        } else {
            by_address.push_back(
                {.key = NftValue().address(host_ip).protocol(number).port(host_port),
                 .data = std::move(data)});
        }
    }
};

} // namespace

Result<Firewall> Firewall::open(std::string table) {
    kernel::NetlinkSocket socket = TRY(kernel::NetlinkSocket::open(kernel::netfilter_protocol));
    return Firewall(
        State{.socket = std::move(socket), .table = std::move(table), .bridges = {}, .ports = {}});
}

Result<void> Firewall::write_all(State& state) {
    NftBatch batch(state.table);
    batch.add_table(); // deleting one that is not there would fail
    batch.delete_table();
    batch.add_table();
    write_sets(batch);
    write_chains(batch);
    write_postrouting(batch, state.bridges);
    for (const auto& [name, bridge] : state.bridges) {
        add_bridge_elements(batch, name, bridge);
    }
    PortElements elements;
    for (const auto& [key, target] : state.ports) {
        elements.add(key, target);
    }
    batch.add_elements(ports_map, elements.everywhere);
    batch.add_elements(address_ports_map, elements.by_address);
    return batch.commit(state.socket);
}

Result<void> Firewall::commit_or_write_all(State& state, NftBatch& batch) {
    if (!state.active) {
        return ok();
    }
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
    auto state = state_->lock();
    TRY(write_all(*state));
    state->active = true;
    return ok();
}

Result<void> Firewall::remove() {
    auto state = state_->lock();
    state->active = false;
    NftBatch batch(state->table);
    batch.add_table();
    batch.delete_table();
    return batch.commit(state->socket);
}

Result<void> Firewall::add_bridge(const std::string& name, const FirewallBridge& bridge) {
    auto state = state_->lock();
    state->bridges.insert_or_assign(name, bridge);
    NftBatch batch(state->table);
    add_bridge_elements(batch, name, bridge);
    batch.flush_chain("postrouting");
    write_postrouting(batch, state->bridges);
    Result<void> committed = commit_or_write_all(*state, batch);
    if (!committed.ok()) {
        state->bridges.erase(name);
    }
    return committed;
}

Result<void> Firewall::remove_bridge(const std::string& name) {
    auto state = state_->lock();
    const auto found = state->bridges.find(name);
    if (found == state->bridges.end()) {
        return ok();
    }
    const FirewallBridge bridge = found->second;
    state->bridges.erase(found);
    NftBatch batch(state->table);
    delete_bridge_elements(batch, name, bridge);
    batch.flush_chain("postrouting");
    write_postrouting(batch, state->bridges);
    return commit_or_write_all(*state, batch);
}

Result<void>
Firewall::add_ports(const std::vector<BoundPort>& ports, const kernel::IpAddress& container_ip) {
    if (ports.empty()) {
        return ok();
    }
    auto state = state_->lock();
    PortElements elements;
    for (const BoundPort& port : ports) {
        const PortKey key{port.protocol, port.host_ip, port.host_port};
        const Target target{container_ip, port.container_port};
        state->ports.insert_or_assign(key, target);
        elements.add(key, target);
    }
    NftBatch batch(state->table);
    batch.add_elements(ports_map, elements.everywhere);
    batch.add_elements(address_ports_map, elements.by_address);
    Result<void> committed = commit_or_write_all(*state, batch);
    if (!committed.ok()) {
        for (const BoundPort& port : ports) {
            state->ports.erase({port.protocol, port.host_ip, port.host_port});
        }
    }
    return committed;
}

Result<void> Firewall::remove_ports(const std::vector<BoundPort>& ports) {
    auto state = state_->lock();
    PortElements elements;
    for (const BoundPort& port : ports) {
        const PortKey key{port.protocol, port.host_ip, port.host_port};
        const auto found = state->ports.find(key);
        if (found != state->ports.end()) {
            elements.add(key, found->second);
            state->ports.erase(found);
        }
    }
    if (elements.everywhere.empty() && elements.by_address.empty()) {
        return ok();
    }
    NftBatch batch(state->table);
    batch.delete_elements(ports_map, elements.everywhere);
    batch.delete_elements(address_ports_map, elements.by_address);
    return commit_or_write_all(*state, batch);
}

void Firewall::forget_datagram_flows(
    const std::vector<BoundPort>& ports, const kernel::IpAddress& container_ip) {
    constexpr auto udp = static_cast<std::uint8_t>(Protocol::Udp);
    std::vector<kernel::ConnectionMatch> matches;
    for (const BoundPort& port : ports) {
        if (port.protocol == Protocol::Udp) {
            matches.push_back({.protocol = udp, .destination_port = port.host_port});
        }
    }
    if (matches.empty()) {
        return;
    }
    matches.push_back({.protocol = udp, .reply_source = container_ip});
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
        const bool forwards = chain.hook == NF_INET_FORWARD &&
                              (chain.family == NFPROTO_IPV4 || chain.family == NFPROTO_INET);
        if (forwards && chain.policy == NF_DROP) {
            obstacles.push_back(
                "chain " + chain.name + " of table " + chain.table +
                " drops forwarded packets that it does not accept");
        }
    }
    return obstacles;
}

} // namespace berth::network
