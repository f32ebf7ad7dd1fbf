// SPDX-License-Identifier: Apache-2.0
// Each frame from a container's interface carries that container's addresses, or it is dropped
// before the bridge learns from it.
#include "network/firewall_sources.h"

#include "network/firewall_names.h"

#include <linux/if_ether.h>
#include <linux/netfilter/nf_tables.h>

#include <array>
#include <set>
#include <utility>

#include <netinet/in.h>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::IpFamily;
using kernel::NftBatch;
using kernel::NftElement;
using kernel::NftHook;
using kernel::NftType;
using kernel::NftValue;

const std::string guarded_set = "guarded";
const std::string macs_set = "macs";
const std::string sources_set = "sources";
const std::string rates_set = "rates"; // interface, with its rate

constexpr std::uint8_t router_advertisement = 134;
constexpr std::uint8_t neighbor_solicitation = 135;
constexpr std::uint8_t neighbor_advertisement = 136;
constexpr std::uint8_t redirect = 137;
constexpr std::uint32_t neighbor_target_offset = 8; // in the ICMPv6 message

void write_bridge_sets(NftBatch& batch) {
    for (const std::string& set : {guarded_set, rates_set}) {
        batch.add_set({.name = set, .key = {NftType::InterfaceName}, .data = {}});
    }
    const std::vector<NftType> source{NftType::InterfaceName, NftType::EtherAddress};
    batch.add_set({.name = macs_set, .key = source, .data = {}});
    for (const IpFamily family : families) {
        std::vector<NftType> key = source;
        key.push_back(address_type(family));
        batch.add_set({.name = of(sources_set, family), .key = key, .data = {}});
    }
}

void write_arp_rules(NftBatch& batch) {
    constexpr std::array<std::uint8_t, 6> ethernet_and_ipv4{0, 1, 8, 0, 6, 4};
    constexpr std::array<std::uint8_t, 4> nobody{};
    constexpr std::uint32_t sender_mac = 8;
    constexpr std::uint32_t sender_ip = 14;
    const std::string chain = "arp";
    batch.add_chain(chain);
    batch.rule(chain).if_bytes_are_not(NFT_PAYLOAD_NETWORK_HEADER, 0, ethernet_and_ipv4).drop();
    batch.rule(chain).if_sender_not_in(macs_set, sender_mac).drop();
    // A probe asks for an address before it is taken and claims none.
    batch.rule(chain).if_bytes_are(NFT_PAYLOAD_NETWORK_HEADER, sender_ip, nobody).accept();
    batch.rule(chain)
        .if_source_not_in(of(sources_set, IpFamily::V4), NFT_PAYLOAD_NETWORK_HEADER, sender_ip, 4)
        .drop();
    batch.rule(chain).accept();
}

void write_ipv6_rules(NftBatch& batch) {
    constexpr std::array<std::uint8_t, 16> nobody{};
    constexpr std::uint32_t source = 8;
    const std::string sources = of(sources_set, IpFamily::V6);
    const std::string neighbors = "neighbors";
    batch.add_chain(neighbors);
    batch.rule(neighbors).if_icmp_type(router_advertisement).drop();
    batch.rule(neighbors).if_icmp_type(redirect).drop();
    batch.rule(neighbors)
        .if_icmp_type(neighbor_advertisement)
        .if_source_not_in(sources, NFT_PAYLOAD_TRANSPORT_HEADER, neighbor_target_offset, 16)
        .drop();
    // From nobody: the question whether an address is free, which only its owner-to-be may ask.
    batch.rule(neighbors)
        .if_bytes_are(NFT_PAYLOAD_NETWORK_HEADER, source, nobody)
        .if_icmp_type(neighbor_solicitation)
        .if_source_not_in(sources, NFT_PAYLOAD_TRANSPORT_HEADER, neighbor_target_offset, 16)
        .drop();
    batch.rule(neighbors).if_bytes_are(NFT_PAYLOAD_NETWORK_HEADER, source, nobody).accept();

    const std::string chain = "ipv6";
    batch.add_chain(chain);
    batch.rule(chain).if_protocol(icmp_v6).jump(neighbors);
    batch.rule(chain).if_source_not_in(sources, NFT_PAYLOAD_NETWORK_HEADER, source, 16).drop();
    batch.rule(chain).accept();
}

// Each frame from a container's interface carries that container's addresses, or it is dropped
// before the bridge learns from it. Nearly all frames are honest and ask one set only: who is among
// the sources is with its MAC, and by its interface. The other rules tell what is wrong with the
// rest, or that the interface is not guarded.
void write_bridge_rules(NftBatch& batch) {
    constexpr std::uint32_t source_v4 = 12;
    constexpr std::uint32_t source_v6 = 8;
    write_arp_rules(batch);
    write_ipv6_rules(batch);
    batch.add_base_chain(
        "sources", {.type = "filter", .hook = NftHook::Prerouting, .priority = raw_priority});
    batch.rule("sources")
        .if_ether_type(ETH_P_IP)
        .if_source_in_set(of(sources_set, IpFamily::V4), NFT_PAYLOAD_NETWORK_HEADER, source_v4, 4)
        .accept();
    batch.rule("sources")
        .if_ether_type(ETH_P_IPV6)
        .if_protocol_is_not(icmp_v6)
        .if_source_in_set(of(sources_set, IpFamily::V6), NFT_PAYLOAD_NETWORK_HEADER, source_v6, 16)
        .accept();
    batch.rule("sources").if_input_not_in(guarded_set).accept();
    batch.rule("sources").if_source_not_in(macs_set, 0, 0, 0).drop();
    batch.rule("sources").if_ether_type(ETH_P_ARP).jump("arp");
    batch.rule("sources").if_ether_type(ETH_P_IPV6).jump("ipv6");
    batch.rule("sources").drop();
}

} // namespace

IpAddress link_local_address(const kernel::MacAddress& mac) {
    const auto& m = mac.bytes;
    // RFC 4291, appendix A: the modified EUI-64 identifier.
    const std::array<std::uint8_t, 16> bytes{
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        static_cast<std::uint8_t>(m[0] ^ 2U),
        m[1],
        m[2],
        0xff,
        0xfe,
        m[3],
        m[4],
        m[5]};
    return IpAddress::from_bytes(bytes);
}

void add_source_elements(
    FirewallElements& elements, const std::string& interface, const FirewallEndpoint& endpoint) {
    if (endpoint.egress != 0) {
        NftElement element = interface_element(interface);
        element.rate = endpoint.egress;
        elements.bridged[rates_set].push_back(std::move(element));
    }
    if (endpoint.any_source) {
        return;
    }
    const NftValue source = NftValue().interface(interface).ether_address(endpoint.mac);
    elements.bridged[guarded_set].push_back(interface_element(interface));
    elements.bridged[macs_set].push_back({.key = source, .data = {}});
    std::set<IpAddress> addresses(endpoint.addresses.begin(), endpoint.addresses.end());
    addresses.insert(link_local_address(endpoint.mac));
    for (const IpAddress& address : addresses) {
        NftValue key = source;
        key.address(address);
        elements.bridged[of(sources_set, address.family())].push_back(
            {.key = std::move(key), .data = {}});
    }
}

void write_source_guard(NftBatch& batch) {
    write_bridge_sets(batch);
    write_bridge_rules(batch);
}

void write_rates(NftBatch& batch, const FirewallElements& elements) {
    if (!elements.bridged.contains(rates_set)) {
        return;
    }
    const std::string chain = "rates";
    batch.add_base_chain(
        chain, {.type = "filter", .hook = NftHook::Prerouting, .priority = raw_priority - 1});
    batch.flush_chain(chain);
    batch.rule(chain).if_input_in(rates_set).drop();
}

} // namespace berth::network
