// SPDX-License-Identifier: Apache-2.0
// Networks as the API reads and writes them.
#pragma once

#include "api/api_version.h"
#include "codec/json.h"
#include "engine/container_config_json.h"
#include "engine/network_json.h"
#include "engine/networks.h"

#include <string>

namespace berth::api::wire {

struct ConnectBody {
    std::string container;
    engine::EndpointSettings endpoint_config;
};

struct DisconnectBody {
    std::string container;
    bool force = false;
};

json::Value encode_network(const engine::NetworkInspect& network, ApiVersion version);

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<engine::NetworkCreate> {
    using T = engine::NetworkCreate;
    static constexpr auto table = std::tuple{
        field("Name", &T::name),
        field("Driver", &T::driver),
        field("Scope", &T::scope),
        field("Internal", &T::internal),
        field("Attachable", &T::attachable),
        field("Ingress", &T::ingress),
        field("ConfigOnly", &T::config_only),
        field("EnableIPv4", &T::enable_ipv4),
        field("EnableIPv6", &T::enable_ipv6),
        field("IPAM", &T::ipam),
        field("ConfigFrom", &T::config_from),
        field("Options", &T::options),
        field("Labels", &T::labels)};
};

template <>
struct Fields<api::wire::ConnectBody> {
    using T = api::wire::ConnectBody;
    static constexpr auto table =
        std::tuple{field("Container", &T::container), field("EndpointConfig", &T::endpoint_config)};
};

template <>
struct Fields<api::wire::DisconnectBody> {
    using T = api::wire::DisconnectBody;
    static constexpr auto table =
        std::tuple{field("Container", &T::container), field("Force", &T::force)};
};

} // namespace berth::json
