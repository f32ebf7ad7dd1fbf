// SPDX-License-Identifier: Apache-2.0
// The JSON names of networks' parts, which are Docker's: for the database and the API.
#pragma once

#include "codec/json.h"
#include "engine/networks.h"

namespace berth::json {

template <>
struct Fields<engine::IpamPool> {
    using T = engine::IpamPool;
    static constexpr auto table = std::tuple{
        field("Subnet", &T::subnet, OmitEmpty),
        field("IPRange", &T::ip_range, OmitEmpty),
        field("Gateway", &T::gateway, OmitEmpty),
        field("AuxiliaryAddresses", &T::aux_addresses, OmitEmpty)};
};

template <>
struct Fields<engine::Ipam> {
    using T = engine::Ipam;
    static constexpr auto table = std::tuple{
        field("Driver", &T::driver),
        field("Options", &T::options),
        field("Config", &T::config, NullWhenEmpty)};
};

template <>
struct Fields<engine::ConfigFrom> {
    using T = engine::ConfigFrom;
    static constexpr auto table = std::tuple{field("Network", &T::network)};
};

template <>
struct Fields<engine::NetworkEndpoint> {
    using T = engine::NetworkEndpoint;
    static constexpr auto table = std::tuple{
        field("Name", &T::name),
        field("EndpointID", &T::endpoint_id),
        field("MacAddress", &T::mac_address),
        field("IPv4Address", &T::ipv4_address),
        field("IPv6Address", &T::ipv6_address)};
};

template <>
struct Fields<engine::NetworkInspect> {
    using T = engine::NetworkInspect;
    static constexpr auto table = std::tuple{
        field("Name", &T::name),
        field("Id", &T::id),
        field("Created", &T::created),
        field("Scope", &T::scope),
        field("Driver", &T::driver),
        field("EnableIPv4", &T::enable_ipv4),
        field("EnableIPv6", &T::enable_ipv6),
        field("IPAM", &T::ipam),
        field("Internal", &T::internal),
        field("Attachable", &T::attachable),
        field("Ingress", &T::ingress),
        field("ConfigFrom", &T::config_from),
        field("ConfigOnly", &T::config_only),
        field("Containers", &T::containers),
        field("Options", &T::options),
        field("Labels", &T::labels)};
};

} // namespace berth::json
