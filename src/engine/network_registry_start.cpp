// SPDX-License-Identifier: Apache-2.0
// What an engine that starts has: the predefined networks and those of the last run, with the
// endpoints of the containers that went on running.
#include "base/log.h"
#include "base/random.h"
#include "engine/cni_options.h"
#include "engine/endpoint_settings.h"
#include "engine/network_options.h"
#include "engine/network_registry.h"
#include "engine/traffic_limits.h"
#include "network/address_arithmetic.h"

namespace berth::engine {
namespace {

// Ready namespaces and veth pairs: enough for a burst of starts.
constexpr std::size_t bridge_pool_size = 4;
constexpr std::size_t loose_pool_size = 2;
constexpr std::size_t isolated_pool_size = 1;
constexpr std::size_t label_length = 12;
constexpr std::size_t ula_digits = 10;

Result<network::EndpointRecord> driver_record(
    const EndpointState& state,
    const NetworkInspect& network,
    const ContainerDefinition& container) {
    network::EndpointRecord record{.id = state.id, .container_name = container.name};
    const EndpointSettings& settings = settings_in(container, state.network);
    record.link_local = TRY(endpoint_request(settings)).link_local;
    record.rates = TRY(rates_of(network.options, settings));
    record.connections = TRY(connections_of(network, settings));
    if (!state.ip.empty()) {
        record.ip = TRY(kernel::IpAddress::parse(state.ip));
    }
    if (!state.ip_v6.empty()) {
        record.ip_v6 = TRY(kernel::IpAddress::parse(state.ip_v6));
    }
    record.mac = TRY(kernel::MacAddress::parse(state.mac));
    record.host_interface = state.host_interface;
    for (const PublishedPort& port : state.ports) {
        network::BoundPort bound{.container_port = port.container_port};
        bound.protocol = TRY(network::parse_protocol(port.protocol));
        bound.host_ip = TRY(kernel::IpAddress::parse(port.host_ip));
        bound.host_port = port.host_port;
        record.ports.push_back(bound);
    }
    return record;
}

// The endpoints in a network of the containers that ran.
std::vector<network::EndpointRecord>
endpoints_in(const NetworkInspect& network, const std::vector<ContainerRecord>& containers) {
    std::vector<network::EndpointRecord> endpoints;
    for (const ContainerRecord& container : containers) {
        for (const EndpointState& endpoint : container.life.endpoints) {
            if (endpoint.network != network.name || endpoint.host_interface.empty()) {
                continue;
            }
            auto kept = driver_record(endpoint, network, *container.definition);
            if (!kept.ok()) {
                log::error(
                    "endpoint cannot be read from the database, removing it from its container",
                    {{"container", container.definition->id},
                     {"network", network.name},
                     {"error", kept.error().message()}});
                continue;
            }
            endpoints.push_back(std::move(kept).value());
        }
    }
    return endpoints;
}

// Without its endpoints.
Result<network::NetworkRecord>
record_of(const NetworkInspect& network, const DaemonConfig& config) {
    network::NetworkRecord record{.is_optional = true};
    if (is_cni_driver(network.driver)) {
        record.cni = cni_options_of(network, config);
    } else if (is_sublink_driver(network.driver)) {
        record.sublink = TRY(sublink_options_of(network));
    } else {
        record.options = TRY(bridge_options_of(network));
    }
    return record;
}

const std::string& name_of(const network::NetworkRecord& record) {
    if (record.cni) {
        return record.cni->name;
    }
    return record.sublink ? record.sublink->name : record.options.name;
}

// The host's own part of fd00::/8, always the same one.
network::SubnetPool local_pool_v6(const std::string& seed) {
    const std::string digits = seed.substr(0, ula_digits);
    const std::string text = "fd" + digits.substr(0, 2) + ":" + digits.substr(2, 4) + ":" +
                             digits.substr(6, 4) + "::/48";
    return {.base = kernel::IpPrefix::parse(text).value(), .size = 64};
}

Result<std::vector<network::SubnetPool>>
configured_pools(const std::vector<AddressPoolOption>& options) {
    std::vector<network::SubnetPool> pools;
    for (const AddressPoolOption& option : options) {
        const auto base = kernel::IpPrefix::parse(option.base);
        if (!base.ok()) {
            return invalid_argument(
                "invalid base pool \"" + option.base + "\" of the default address pools");
        }
        const int bits = base->address.is_v4() ? 32 : 128;
        if (option.size < base->length || option.size > bits) {
            return invalid_argument(
                "invalid size " + std::to_string(option.size) +
                " of the default address pool with base " + option.base);
        }
        pools.push_back({.base = base->network(), .size = static_cast<std::uint8_t>(option.size)});
    }
    return pools;
}

} // namespace

Result<std::unique_ptr<NetworkRegistry>> NetworkRegistry::start(
    const DaemonConfig& config,
    store::Database& database,
    const std::vector<ContainerRecord>& containers) {
    NetworkTable table = TRY(NetworkTable::open(database));
    auto self = std::unique_ptr<NetworkRegistry>(new NetworkRegistry(config, table));
    TRY(self->add_predefined());
    TRY(self->start_driver(containers));
    return self;
}

Result<void> NetworkRegistry::add_predefined() {
    static constexpr std::pair<std::string_view, std::string_view> names[] = {
        {"bridge", "bridge"}, {"host", "host"}, {"none", "null"}};
    for (const auto& [name, driver] : names) {
        NetworkInspect network;
        network.name = name;
        network.driver = driver;
        TRY(table_.load_predefined(network));
        predefined_.push_back(network);
        if (name != "bridge") {
            add({.info = std::move(network), .is_predefined = true});
        }
    }
    return ok();
}

Result<void> NetworkRegistry::start_driver(const std::vector<ContainerRecord>& containers) {
    const std::string& seed = predefined_.back().id;
    const bool has_bridge = config_.bridge != "none";
    network::NetworkDriver::Options options;
    options.isolated_pool_size = isolated_pool_size;
    options.loose_pool_size = loose_pool_size;
    options.firewall.host = config_.firewall == "respect" ? network::HostFirewall::Respected
                                                          : network::HostFirewall::Passed;
    options.firewall.accepted_mark = config_.bridge_accept_mark;
    options.relays_ports = config_.userland_proxy;
    if (!config_.ip6tables) {
        log::warn("ip6tables is off: IPv6 is neither filtered nor masqueraded");
        options.firewall.families = network::FirewallFamilies::V4Alone;
    }
    options.cni = cni_settings(config_);
    options.table = "berth-" + (has_bridge ? config_.bridge : seed.substr(0, label_length));
    if (!config_.default_address_pools.empty()) {
        options.subnet_pools = TRY(configured_pools(config_.default_address_pools));
    }
    options.subnet_pools.push_back(local_pool_v6(seed));
    std::optional<network::BridgeOptions> bridge;
    if (has_bridge) {
        bridge = TRY(default_bridge_options());
        // A bridge without a subnet is made for the first time: nothing can be on it.
        if (bridge->subnet.length != 0) {
            options.networks.push_back(
                {.options = *bridge, .endpoints = endpoints_in(predefined_.front(), containers)});
        }
        if (!config_.iptables) {
            log::warn("iptables is off: no masquerading, publishing ports is refused");
        }
    }
    std::vector<NetworkInspect> users = TRY(table_.load());
    std::map<std::string, std::string> bridge_names; // by network id
    for (const NetworkInspect& network : users) {
        if (network.config_only) {
            continue;
        }
        auto record = record_of(network, config_);
        if (!record.ok()) {
            log::error(
                "network cannot be made again, ignoring",
                {{"network", network.name}, {"error", record.error().message()}});
            continue;
        }
        bridge_names[network.id] = name_of(*record);
        record->endpoints = endpoints_in(network, containers);
        options.networks.push_back(std::move(record).value());
    }
    driver_ = TRY(network::NetworkDriver::start(std::move(options)));
    for (const std::string& obstacle : driver_->foreign_obstacles().value_or({})) {
        log::warn(
            "containers' traffic is stopped by another firewall, ignoring", {{"what", obstacle}});
    }
    if (bridge) {
        TRY(add_default_bridge(*std::move(bridge)));
    }
    for (NetworkInspect& network : users) {
        const auto name = bridge_names.find(network.id);
        add(
            {.info = network,
             .network = name == bridge_names.end() ? nullptr : driver_->find(name->second)});
    }
    return ok();
}

Result<network::BridgeOptions> NetworkRegistry::default_bridge_options() const {
    network::BridgeOptions options{.name = config_.bridge};
    options.mtu = static_cast<std::uint32_t>(config_.mtu);
    options.inter_container = config_.icc;
    options.masquerade = config_.ip_masquerade && config_.iptables;
    options.pool_size = bridge_pool_size;
    options.description = "bridge (" + predefined_.front().id + ")";
    if (!config_.bip.empty()) {
        auto prefix = kernel::IpPrefix::parse(config_.bip);
        if (!prefix.ok() || !prefix->address.is_v4()) {
            return invalid_argument(
                "invalid CIDR address for the default bridge (--bip): " + config_.bip);
        }
        options.subnet = prefix->network();
        options.gateway = prefix->address;
    } else if (const std::string subnet = TRY(table_.bridge_subnet()); !subnet.empty()) {
        options.subnet = TRY(kernel::IpPrefix::parse(subnet));
    }
    if (!config_.fixed_cidr.empty()) {
        options.ip_range = TRY(kernel::IpPrefix::parse(config_.fixed_cidr));
    }
    if (!config_.default_gateway.empty()) {
        options.router = TRY(kernel::IpAddress::parse(config_.default_gateway));
    }
    if (config_.ipv6) {
        TRY(add_ipv6(options));
    }
    return options;
}

// The subnet of --bip6, else that of --fixed-cidr-v6, else one of the host's own part of fd00::/8.
Result<void> NetworkRegistry::add_ipv6(network::BridgeOptions& options) const {
    if (!config_.bip6.empty()) {
        const auto prefix = kernel::IpPrefix::parse(config_.bip6);
        if (!prefix.ok() || prefix->address.is_v4()) {
            return invalid_argument(
                "invalid CIDR address for the default bridge (--bip6): " + config_.bip6);
        }
        options.subnet_v6 = prefix->network();
        options.gateway_v6 = prefix->address;
    }
    if (!config_.fixed_cidr_v6.empty()) {
        const auto range = kernel::IpPrefix::parse(config_.fixed_cidr_v6);
        if (!range.ok() || range->address.is_v4()) {
            return invalid_argument("invalid --fixed-cidr-v6: " + config_.fixed_cidr_v6);
        }
        if (!options.subnet_v6) {
            options.subnet_v6 = range->network();
        } else {
            options.ip_range_v6 = range->network();
        }
    }
    if (!options.subnet_v6) {
        const network::SubnetPool local = local_pool_v6(predefined_.back().id);
        options.subnet_v6 = kernel::IpPrefix{local.base.address, local.size};
    }
    if (!config_.default_gateway_v6.empty()) {
        options.router_v6 = TRY(kernel::IpAddress::parse(config_.default_gateway_v6));
    }
    return ok();
}

Result<void> NetworkRegistry::add_default_bridge(network::BridgeOptions options) {
    if (options.subnet.length == 0) {
        options.subnet = TRY(driver_->pick_subnet());
        TRY(table_.set_bridge_subnet(options.subnet.to_string()));
    }
    if (!options.gateway) {
        options.gateway = network::successor(options.subnet.network().address);
    }
    if (options.subnet_v6 && !options.gateway_v6) {
        options.gateway_v6 = network::successor(options.subnet_v6->network().address);
    }
    bridge_ = driver_->find(options.name);
    if (bridge_ == nullptr) {
        bridge_ = TRY(driver_->create(options));
    }
    NetworkInspect& shown = predefined_.front();
    shown.ipam.config = {
        {.subnet = options.subnet.network().to_string(),
         .ip_range = options.ip_range ? options.ip_range->to_string() : std::string(),
         .gateway = bridge_->gateway().to_string(),
         .aux_addresses = {}}};
    shown.options = {
        {"com.docker.network.bridge.default_bridge", "true"},
        {"com.docker.network.bridge.enable_icc", config_.icc ? "true" : "false"},
        {"com.docker.network.bridge.enable_ip_masquerade",
         config_.ip_masquerade ? "true" : "false"},
        {std::string(host_binding_option), config_.ip},
        {std::string(bridge_name_option), config_.bridge},
        {std::string(mtu_option), std::to_string(bridge_->mtu())}};
    if (options.subnet_v6) {
        shown.enable_ipv6 = true;
        shown.ipam.config.push_back(
            {.subnet = options.subnet_v6->network().to_string(),
             .ip_range = options.ip_range_v6 ? options.ip_range_v6->to_string() : std::string(),
             .gateway = bridge_->gateway_v6()->to_string(),
             .aux_addresses = {}});
    }
    add({.info = shown, .network = bridge_, .is_predefined = true});
    return ok();
}

} // namespace berth::engine
