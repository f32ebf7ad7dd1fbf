// SPDX-License-Identifier: Apache-2.0
// Names and types of sets and how chains begin, for the files that write the firewall's tables.
#pragma once

#include "kernel/nftables.h"
#include "network/firewall_content.h"

#include <string>
#include <string_view>

#include <netinet/in.h>

namespace berth::network {

constexpr kernel::IpFamily families[] = {kernel::IpFamily::V4, kernel::IpFamily::V6};
constexpr std::uint8_t icmp_v6 = IPPROTO_ICMPV6;
constexpr std::int32_t raw_priority = -300; // before connection tracking

// Of the table of the family inet.
inline const std::string bridges_set = "bridges";   // every bridge of ours
inline const std::string internal_set = "internal"; // those without a way out
// (bridge, same bridge) where containers may talk
inline const std::string open_pairs_set = "open_pairs";
inline const std::string loops_set = "loops";     // (bridge, same bridge) of all
inline const std::string trusted_set = "trusted"; // (interface of the host, bridge)
inline const std::string links_set = "links";     // (container, other one, protocol, port), IPv4
// The family's number follows in these.
inline const std::string masquerade_set = "masquerade";
inline const std::string source_map = "source"; // bridge -> address that it goes out with
inline const std::string unprotected_set = "unprotected";
inline const std::string routed_set = "routed";
inline const std::string routed_ports_set =
    "routed_ports";                               // address, protocol, port of a container
inline const std::string members_set = "members"; // (container's address, its bridge)
inline const std::string ports_map = "ports";     // published on every address of the host
inline const std::string address_ports_map = "ports_by_address";

// Of one family.
inline std::string of(const std::string& set, kernel::IpFamily family) {
    return set + (family == kernel::IpFamily::V4 ? "4" : "6");
}

inline kernel::NftType address_type(kernel::IpFamily family) {
    return family == kernel::IpFamily::V4 ? kernel::NftType::Ipv4Address
                                          : kernel::NftType::Ipv6Address;
}

inline kernel::NftElement interface_element(const std::string& name) {
    return {.key = kernel::NftValue().interface(name), .data = {}};
}

inline void add_base_chain(
    kernel::NftBatch& batch,
    const FirewallContent& content,
    const std::string& name,
    const kernel::NftBaseChain& chain) {
    batch.add_base_chain(name, chain);
    if (content.options.families == FirewallFamilies::V4Alone) {
        batch.rule(name).if_family(kernel::IpFamily::V6).accept(); // what others say of it holds
    }
}

} // namespace berth::network
