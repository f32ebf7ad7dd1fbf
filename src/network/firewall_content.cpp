// SPDX-License-Identifier: Apache-2.0
// Sets, maps and rules of the table of the family inet, which sees what is routed.
#include "network/firewall_content.h"

#include "network/connection_bound.h"
#include "network/firewall_forward.h"
#include "network/firewall_names.h"
#include "network/firewall_sources.h"

#include <linux/netfilter/nf_tables.h>

#include <array>

#include <netinet/in.h>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::IpFamily;
using kernel::IpPrefix;
using kernel::NftBatch;
using kernel::NftElement;
using kernel::NftFamily;
using kernel::NftHook;
using kernel::NftPortKey;
using kernel::NftRule;
using kernel::NftType;
using kernel::NftValue;

constexpr std::int32_t destination_nat_priority = -100;
constexpr std::int32_t source_nat_priority = 100;
// Before connection tracking, which comes last, keeps what is let in.
constexpr std::int32_t last_priority = INT32_MAX - 1;

IpPrefix loopback_v4() {
    return {IpAddress::from_v4(0x7f000000), 8};
}

IpPrefix loopback_v6() {
    std::array<std::uint8_t, 16> bytes{};
    bytes.back() = 1;
    return {IpAddress::from_bytes(bytes), 128};
}

void write_sets(NftBatch& batch) {
    const std::vector<NftType> name{NftType::InterfaceName};
    const std::vector<NftType> pair{NftType::InterfaceName, NftType::InterfaceName};
    for (const std::string& set : {bridges_set, internal_set}) {
        batch.add_set({.name = set, .key = name, .data = {}});
    }
    for (const std::string& set : {open_pairs_set, loops_set, trusted_set}) {
        batch.add_set({.name = set, .key = pair, .data = {}});
    }
    batch.add_set(
        {.name = links_set,
         .key = {NftType::Ipv4Address, NftType::Ipv4Address, NftType::Protocol, NftType::Port},
         .data = {}});
    for (const IpFamily family : families) {
        const NftType address = address_type(family);
        const std::vector<NftType> port{address, NftType::Protocol, NftType::Port};
        const std::vector<NftType> target{address, NftType::Port};
        for (const std::string& set : {masquerade_set, unprotected_set, routed_set}) {
            batch.add_set({.name = of(set, family), .key = name, .data = {}});
        }
        batch.add_set({.name = of(source_map, family), .key = name, .data = {address}});
        batch.add_set(
            {.name = of(members_set, family),
             .key = {address, NftType::InterfaceName},
             .data = {}});
        batch.add_set({.name = of(routed_ports_set, family), .key = port, .data = {}});
        batch.add_set(
            {.name = of(ports_map, family),
             .key = {NftType::Protocol, NftType::Port},
             .data = target});
        batch.add_set({.name = of(address_ports_map, family), .key = port, .data = target});
    }
}

void write_publishing(NftBatch& batch, const FirewallContent& content) {
    batch.add_chain("publish");
    for (const IpFamily family : families) {
        batch.rule("publish").dnat(
            family, NftPortKey::AddressProtocolAndPort, of(address_ports_map, family));
        batch.rule("publish").dnat(family, NftPortKey::ProtocolAndPort, of(ports_map, family));
    }
    add_base_chain(
        batch,
        content,
        "prerouting",
        {.type = "nat", .hook = NftHook::Prerouting, .priority = destination_nat_priority});
    if (content.judge) {
        batch.rule("prerouting")
            .if_input_is(content.judge->input_interface)
            .if_destination_is_local()
            .jump("publish");
    } else {
        batch.rule("prerouting").if_destination_is_local().jump("publish");
    }
    // The host's own connections to a published port, localhost included.
    add_base_chain(
        batch,
        content,
        "output",
        {.type = "nat", .hook = NftHook::Output, .priority = destination_nat_priority});
    if (!content.carries_loopback_v6 && content.options.families == FirewallFamilies::Both) {
        // Refused at once, so that a client of "localhost" goes on to 127.0.0.1.
        batch.rule("output").if_destination_in(loopback_v6()).return_to_caller();
        batch.add_base_chain("refuse", {.type = "filter", .hook = NftHook::Output, .priority = 0});
        batch.rule("refuse")
            .if_destination_in(loopback_v6())
            .if_published_in(IpFamily::V6, NftPortKey::ProtocolAndPort, of(ports_map, IpFamily::V6))
            .reject();
    }
    batch.rule("output").if_destination_is_local().jump("publish");
}

// What the host's own rules have let in comes by here last: see firewall_judge.h. The kernel copies
// packets in tables of one family only, which a mark tells what to copy.
void write_judge(NftBatch& batch, const FirewallJudge& judge) {
    const std::string chain = "judged";
    batch.continue_in(NftFamily::Inet);
    batch.add_base_chain(
        chain, {.type = "filter", .hook = NftHook::Input, .priority = last_priority - 1});
    batch.rule(chain).if_input_is(judge.input_interface).drop();
    for (const IpFamily family : families) {
        for (const NftPortKey key :
             {NftPortKey::AddressProtocolAndPort, NftPortKey::ProtocolAndPort}) {
            const std::string& map =
                key == NftPortKey::ProtocolAndPort ? ports_map : address_ports_map;
            batch.rule(chain)
                .if_new()
                .if_published_in(family, key, of(map, family))
                .if_destination_is_local()
                .set_mark(judge.mark)
                .accept();
        }
    }
    for (const IpFamily family : families) {
        const bool v4 = family == IpFamily::V4;
        batch.continue_in(v4 ? NftFamily::Ipv4 : NftFamily::Ipv6);
        batch.add_table();
        batch.add_base_chain(
            chain, {.type = "filter", .hook = NftHook::Input, .priority = last_priority});
        batch.rule(chain)
            .if_mark_is(judge.mark)
            .duplicate_to(v4 ? judge.neighbor_v4 : judge.neighbor_v6, judge.output_index)
            .drop();
    }
    batch.continue_in(NftFamily::Inet);
    // The copy keeps the mark, so that checks of its source's way find the judge
    // (firewall_judge.cpp), until it is to be routed.
    const std::string returned = "returned";
    batch.add_base_chain(
        returned, {.type = "filter", .hook = NftHook::Prerouting, .priority = last_priority});
    batch.rule(returned).if_input_is(judge.input_interface).set_mark(0);
}

void write_guard(NftBatch& batch, const FirewallContent& content) {
    // route_localnet on a bridge lets its packets reach 127.0.0.0/8, which published ports on
    // localhost need for the answers. Answers carry the bridge's address until connection tracking
    // has turned them round; whatever has a loopback address before that is forged, whichever
    // interface it comes from: the host's administrator may have set route_localnet for all.
    batch.add_base_chain(
        "guard", {.type = "filter", .hook = NftHook::Prerouting, .priority = raw_priority});
    // Each packet comes by here: what is cheap to ask and nearly never true goes first.
    batch.rule("guard").if_destination_in(loopback_v4()).if_input_is_not("lo").drop();
    batch.rule("guard").if_source_in(loopback_v4()).if_input_in(bridges_set).drop();

    // An internal network reaches the host at its own gateway, and nowhere else.
    add_base_chain(
        batch, content, "input", {.type = "filter", .hook = NftHook::Input, .priority = 0});
    // What the host receives comes by here, too: only what begins is judged.
    batch.rule("input").if_established().accept();
    batch.rule("input").if_input_in(internal_set).if_destination_is_not_of_the_link().drop();
    batch.rule("input").if_new().if_input_in(bridges_set).jump(bounds_chain);
}

void write_postrouting(NftBatch& batch, const FirewallContent& content) {
    const std::string chain = "postrouting";
    add_base_chain(
        batch,
        content,
        chain,
        {.type = "nat", .hook = NftHook::Postrouting, .priority = source_nat_priority});
    // From a container to a published port of its own network: without this the answer would take
    // the short way through the bridge and come from an address that was never asked. With
    // br_netfilter there is no input interface here, hence the container's address.
    for (const IpFamily family : families) {
        batch.rule(chain)
            .if_destination_changed()
            .if_source_and_output_in(family, of(members_set, family))
            .masquerade();
    }
    batch.rule(chain).if_input_and_output_in(loops_set).return_to_caller();
    // A connection to localhost leaves for the container with a source that it can answer to.
    batch.rule(chain).if_source_in(loopback_v4()).if_output_in(bridges_set).masquerade();
    batch.rule(chain).if_source_in(loopback_v6()).if_output_in(bridges_set).masquerade();
    for (const IpFamily family : families) {
        batch.rule(chain).snat_by_input(family, of(source_map, family));
        batch.rule(chain).if_input_in(of(masquerade_set, family)).if_family(family).masquerade();
    }
}

NftElement pair_element(const std::string& input, const std::string& output) {
    return {.key = NftValue().interface(input).interface(output), .data = {}};
}

NftElement member_element(const IpAddress& address, const std::string& bridge) {
    return {.key = NftValue().address(address).interface(bridge), .data = {}};
}

IpAddress broadcast_address(const IpPrefix& subnet) {
    const std::uint32_t hosts = subnet.length >= 32 ? 0 : 0xffffffffU >> subnet.length;
    return IpAddress::from_v4(subnet.network().address.v4() | hosts);
}

void add_family_elements(
    FirewallElements& elements,
    const std::string& name,
    const FirewallBridge& bridge,
    IpFamily family) {
    const bool v4 = family == IpFamily::V4;
    const FirewallMode mode = v4 ? bridge.mode_v4 : bridge.mode_v6;
    const std::optional<IpAddress>& source = v4 ? bridge.source_v4 : bridge.source_v6;
    const NftElement element = interface_element(name);
    const bool translated = mode == FirewallMode::Nat || mode == FirewallMode::NatUnprotected;
    if (bridge.masquerade && !bridge.internal && translated) {
        if (source) {
            elements.routed[of(source_map, family)].push_back(
                {.key = element.key, .data = NftValue().address(*source)});
        } else {
            elements.routed[of(masquerade_set, family)].push_back(element);
        }
    }
    if (mode == FirewallMode::NatUnprotected) {
        elements.routed[of(unprotected_set, family)].push_back(element);
    }
    if (mode == FirewallMode::Routed) {
        elements.routed[of(routed_set, family)].push_back(element);
    }
}

} // namespace

void add_bridge_elements(
    FirewallElements& elements, const std::string& name, const FirewallBridge& bridge) {
    elements.routed[bridges_set].push_back(interface_element(name));
    elements.routed[loops_set].push_back(pair_element(name, name));
    if (bridge.inter_container) {
        elements.routed[open_pairs_set].push_back(pair_element(name, name));
    }
    const bool isolated =
        bridge.mode_v4 == FirewallMode::Isolated || bridge.mode_v6 == FirewallMode::Isolated;
    if (bridge.internal || isolated) {
        elements.routed[internal_set].push_back(interface_element(name));
    }
    for (const std::string& interface : bridge.trusted_interfaces) {
        elements.routed[trusted_set].push_back(pair_element(interface, name));
    }
    for (const IpFamily family : families) {
        add_family_elements(elements, name, bridge, family);
    }
    if (bridge.subnet.length != 0) {
        elements.routed[of(members_set, IpFamily::V4)].push_back(
            member_element(broadcast_address(bridge.subnet), name));
    }
}

void add_endpoint_elements(
    FirewallElements& elements, const std::string& interface, const FirewallEndpoint& endpoint) {
    for (const IpAddress& address : endpoint.addresses) {
        elements.routed[of(members_set, address.family())].push_back(
            member_element(address, endpoint.bridge));
        if (endpoint.connections != 0) {
            elements.bounds.insert(endpoint.connections);
            elements.routed[bounded_set(address.family(), endpoint.connections)].push_back(
                {.key = NftValue().address(address), .data = {}});
        }
    }
    add_source_elements(elements, interface, endpoint);
}

void add_port_element(
    FirewallElements& elements,
    const FirewallContent::PortKey& key,
    const FirewallContent::Target& target) {
    const auto& [protocol, host_ip, host_port] = key;
    const auto number = static_cast<std::uint8_t>(protocol);
    const NftValue data = NftValue().address(target.first).port(target.second);
    if (host_ip.is_unspecified()) {
        elements.routed[of(ports_map, host_ip.family())].push_back(
            {.key = NftValue().protocol(number).port(host_port), .data = data});
    } else {
        elements.routed[of(address_ports_map, host_ip.family())].push_back(
            {.key = NftValue().address(host_ip).protocol(number).port(host_port), .data = data});
    }
}

void add_routed_port_element(FirewallElements& elements, const FirewallContent::PortKey& key) {
    const auto& [protocol, address, port] = key;
    elements.routed[of(routed_ports_set, address.family())].push_back(
        {.key =
             NftValue().address(address).protocol(static_cast<std::uint8_t>(protocol)).port(port),
         .data = {}});
}

void add_link_element(FirewallElements& elements, const FirewallContent::Link& link) {
    const auto& [from, to, protocol, port] = link;
    elements.routed[links_set].push_back(
        {.key = NftValue()
                    .address(from)
                    .address(to)
                    .protocol(static_cast<std::uint8_t>(protocol))
                    .port(port),
         .data = {}});
}

void delete_firewall(NftBatch& batch) {
    for (const NftFamily family :
         {NftFamily::Inet, NftFamily::Bridge, NftFamily::Ipv4, NftFamily::Ipv6}) {
        batch.continue_in(family);
        batch.add_table(); // deleting one that is not there would fail
        batch.delete_table();
    }
}

void write_firewall(NftBatch& batch, const FirewallContent& content) {
    FirewallElements elements;
    for (const auto& [name, bridge] : content.bridges) {
        add_bridge_elements(elements, name, bridge);
    }
    for (const auto& [interface, endpoint] : content.endpoints) {
        add_endpoint_elements(elements, interface, endpoint);
    }
    for (const auto& [key, target] : content.ports) {
        add_port_element(elements, key, target);
    }
    for (const FirewallContent::PortKey& key : content.routed_ports) {
        add_routed_port_element(elements, key);
    }
    for (const FirewallContent::Link& link : content.links) {
        add_link_element(elements, link);
    }
    delete_firewall(batch);
    for (const NftFamily family : {NftFamily::Inet, NftFamily::Bridge}) {
        batch.continue_in(family);
        batch.add_table();
    }
    write_source_guard(batch);
    write_rates(batch, elements);
    for (const auto& [set, members] : elements.bridged) {
        batch.add_elements(set, members);
    }
    batch.continue_in(NftFamily::Inet);
    write_sets(batch);
    write_publishing(batch, content);
    if (content.judge) {
        write_judge(batch, *content.judge);
    }
    batch.add_chain(bounds_chain);
    write_bounds(batch, elements.bounds);
    write_guard(batch, content);
    write_forward(batch, content);
    write_postrouting(batch, content);
    for (const auto& [set, members] : elements.routed) {
        batch.add_elements(set, members);
    }
}

} // namespace berth::network
