// SPDX-License-Identifier: Apache-2.0
// Names and types of sets, for the files that write the firewall's tables.
#pragma once

#include "kernel/nftables.h"

#include <string>
#include <string_view>

#include <netinet/in.h>

namespace berth::network {

constexpr kernel::IpFamily families[] = {kernel::IpFamily::V4, kernel::IpFamily::V6};
constexpr std::uint8_t icmp_v6 = IPPROTO_ICMPV6;
constexpr std::int32_t raw_priority = -300; // before connection tracking

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

} // namespace berth::network
