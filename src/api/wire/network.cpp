// SPDX-License-Identifier: Apache-2.0
// Networks as the API reads and writes them.
#include "api/wire/network.h"

namespace berth::api::wire {

namespace {

struct Ipam {
    std::string driver;
    std::optional<engine::StringMap> options;
    std::vector<engine::IpamPool> config;
};

struct ConfigFrom {
    std::string network;
};

struct Network {
    std::string name;
    std::string id;
    Timestamp created;
    std::string scope;
    std::string driver;
    std::optional<bool> enable_ipv4; // from 1.48 on
    bool enable_ipv6 = false;
    Ipam ipam;
    bool internal = false;
    bool attachable = false;
    bool ingress = false;
    ConfigFrom config_from;
    bool config_only = false;
    std::map<std::string, engine::NetworkEndpoint> containers;
    engine::StringMap options;
    engine::StringMap labels;
};

} // namespace

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<api::wire::Ipam> {
    using T = api::wire::Ipam;
    static constexpr auto table = std::tuple{
        field("Driver", &T::driver), field("Options", &T::options), field("Config", &T::config)};
};

template <>
struct Fields<api::wire::ConfigFrom> {
    using T = api::wire::ConfigFrom;
    static constexpr auto table = std::tuple{field("Network", &T::network)};
};

template <>
struct Fields<api::wire::Network> {
    using T = api::wire::Network;
    static constexpr auto table = std::tuple{
        field("Name", &T::name),
        field("Id", &T::id),
        field("Created", &T::created),
        field("Scope", &T::scope),
        field("Driver", &T::driver),
        field("EnableIPv4", &T::enable_ipv4, OmitEmpty),
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

namespace berth::api::wire {

json::Value encode_network(const engine::NetworkInspect& network, ApiVersion version) {
    Network wire{
        .name = network.name,
        .id = network.id,
        .created = network.created,
        .scope = network.scope,
        .driver = network.driver,
        .enable_ipv4 = {},
        .enable_ipv6 = network.enable_ipv6,
        .ipam =
            {.driver = network.ipam_driver,
             .options = network.ipam_options,
             .config = network.ipam_config},
        .internal = network.internal,
        .attachable = network.attachable,
        .ingress = network.ingress,
        .config_from = {network.config_from},
        .config_only = network.config_only,
        .containers = network.containers,
        .options = network.options,
        .labels = network.labels,
    };
    if (version >= ApiVersion{1, 48}) {
        wire.enable_ipv4 = network.enable_ipv4;
    }
    return json::encode(wire);
}

} // namespace berth::api::wire
