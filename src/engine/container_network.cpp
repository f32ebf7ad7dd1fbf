// SPDX-License-Identifier: Apache-2.0
// The default networks. Their ids and the bridge's subnet are chosen once and kept.
#include "engine/container_network.h"

#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"

#include <algorithm>

namespace berth::engine {
namespace {

constexpr std::string_view migrations[] = {
    "CREATE TABLE engine_networks (name TEXT PRIMARY KEY, id TEXT NOT NULL,"
    " created INTEGER NOT NULL, subnet TEXT NOT NULL)"};

// Ready namespaces and veth pairs: enough for a burst of starts.
constexpr std::size_t pool_size = 4;
constexpr std::size_t isolated_pool_size = 1;

Error invalid_port(std::string_view text) {
    return invalid_argument("invalid port specification: \"" + std::string(text) + "\"");
}

struct Port {
    network::Protocol protocol = network::Protocol::Tcp;
    std::uint16_t number = 0;
};

Result<Port> parse_port(std::string_view text) {
    auto parts = cut(text, "/");
    Port port;
    auto number = parse_number<std::uint16_t>(parts ? parts->before : text);
    if (!number.ok() || *number == 0) {
        return invalid_port(text);
    }
    port.number = *number;
    if (parts) {
        port.protocol = TRY(network::parse_protocol(to_lower(parts->after)));
    }
    return port;
}

Result<network::PortRequest>
port_request(const Port& port, const PortBinding& binding, const std::string& default_ip) {
    network::PortRequest request{.protocol = port.protocol, .container_port = port.number};
    request.host_ip =
        TRY(kernel::IpAddress::parse(binding.host_ip.empty() ? default_ip : binding.host_ip));
    if (binding.host_port.empty()) {
        return request;
    }
    auto range = cut(binding.host_port, "-");
    auto first =
        parse_number<std::uint16_t>(range ? range->before : std::string_view(binding.host_port));
    auto last = range ? parse_number<std::uint16_t>(range->after) : first;
    if (!first.ok() || !last.ok() || *last < *first) {
        return invalid_port(binding.host_port);
    }
    request.host_port = *first;
    request.host_port_end = range ? *last : std::uint16_t{0};
    return request;
}

EndpointState state_of(const network::Endpoint& endpoint, std::string network) {
    EndpointState state{.network = std::move(network), .id = endpoint.id};
    state.ip = endpoint.ip.to_string();
    state.prefix_length = endpoint.prefix_length;
    state.gateway = endpoint.gateway.to_string();
    state.mac = endpoint.mac.to_string();
    state.host_interface = endpoint.host_interface;
    for (const network::BoundPort& port : endpoint.ports) {
        state.ports.push_back(
            {std::string(network::to_string(port.protocol)),
             port.container_port,
             port.host_ip.to_string(),
             port.host_port});
    }
    return state;
}

Result<network::EndpointRecord>
driver_record(const EndpointState& state, const std::string& container_name) {
    network::EndpointRecord record{.id = state.id, .container_name = container_name};
    record.ip = TRY(kernel::IpAddress::parse(state.ip));
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

// The addresses that the user asked for; everything else in a networking config is names, which
// only user-defined networks resolve.
Result<void>
apply_settings(network::EndpointRequest& request, const ContainerDefinition& definition) {
    std::string mac = definition.config.mac_address;
    for (const auto& [name, settings] : definition.networking.endpoints_config) {
        if (settings.ipam_config && (!settings.ipam_config->ipv4_address.empty() ||
                                     !settings.ipam_config->ipv6_address.empty())) {
            return invalid_argument("user specified IP address is supported on user defined "
                                    "networks only");
        }
        if (!settings.mac_address.empty()) {
            mac = settings.mac_address;
        }
    }
    if (!mac.empty()) {
        request.mac = TRY(kernel::MacAddress::parse(mac));
    }
    return ok();
}

} // namespace

Result<std::unique_ptr<ContainerNetwork>> ContainerNetwork::start(
    const DaemonConfig& config,
    store::Database& database,
    const std::vector<ContainerRecord>& running) {
    auto self = std::unique_ptr<ContainerNetwork>(new ContainerNetwork(config));
    TRY(database.migrate("engine_networks", migrations));
    network::NetworkDriver::Options options;
    options.isolated_pool_size = isolated_pool_size;
    const bool has_bridge = config.bridge != "none";
    options.table = "berth-" + (has_bridge ? config.bridge : random_hex(4));
    TRY(self->load_networks(database));
    std::optional<network::BridgeOptions> bridge;
    if (has_bridge) {
        bridge = TRY(self->bridge_options(database));
        network::NetworkRecord record{.options = *bridge, .endpoints = {}};
        for (const ContainerRecord& container : running) {
            for (const EndpointState& endpoint : container.life.endpoints) {
                auto kept = driver_record(endpoint, container.definition->name);
                if (kept.ok() && endpoint.network == "bridge") {
                    record.endpoints.push_back(std::move(kept).value());
                }
            }
        }
        // A bridge without a subnet is made for the first time: nothing can be on it.
        if (record.options.subnet.length != 0) {
            options.networks.push_back(std::move(record));
        }
        if (!config.iptables) {
            log::warn("iptables is off: no masquerading, publishing ports is refused");
        }
    }
    self->driver_ = TRY(network::NetworkDriver::start(std::move(options)));
    if (!bridge) {
        return self;
    }
    if (bridge->subnet.length == 0) {
        bridge->subnet = TRY(self->driver_->pick_subnet());
        auto transaction = TRY(database.begin(store::Durability::Durable));
        auto statement = TRY(
            transaction->prepare("UPDATE engine_networks SET subnet = ? WHERE name = 'bridge'"));
        TRY(statement.bind(1, bridge->subnet.to_string()).run());
        TRY(transaction.commit());
    }
    self->bridge_ = self->driver_->find(bridge->name);
    if (self->bridge_ == nullptr) {
        self->bridge_ = TRY(self->driver_->create(*bridge));
    }
    NetworkInspect& shown = self->networks_.front();
    shown.ipam_config = {
        {.subnet = bridge->subnet.network().to_string(),
         .ip_range = bridge->ip_range ? bridge->ip_range->to_string() : std::string(),
         .gateway = self->bridge_->gateway().to_string(),
         .aux_addresses = {}}};
    shown.options.insert_or_assign(
        "com.docker.network.driver.mtu", std::to_string(self->bridge_->mtu()));
    return self;
}

Result<void> ContainerNetwork::load_networks(store::Database& database) {
    static constexpr std::pair<std::string_view, std::string_view> defaults[] = {
        {"bridge", "bridge"}, {"host", "host"}, {"none", "null"}};
    auto transaction = TRY(database.begin(store::Durability::Durable));
    for (const auto& [name, driver] : defaults) {
        NetworkInspect network;
        network.name = name;
        network.driver = driver;
        auto select =
            TRY(transaction->prepare("SELECT id, created FROM engine_networks WHERE name = ?"));
        if (TRY(select.bind(1, name).step())) {
            network.id = select.text_copy(0);
            network.created.nanoseconds = select.number(1);
        } else {
            network.id = random_hex(32);
            network.created = Timestamp::now();
            auto insert = TRY(transaction->prepare(
                "INSERT INTO engine_networks (name, id, created, subnet) VALUES (?, ?, ?, '')"));
            TRY(insert.bind(1, name)
                    .bind(2, network.id)
                    .bind(3, network.created.nanoseconds)
                    .run());
        }
        if (name != "bridge") {
            networks_.push_back(std::move(network));
        } else if (config_.bridge != "none") {
            network.options = {
                {"com.docker.network.bridge.default_bridge", "true"},
                {"com.docker.network.bridge.enable_icc", config_.icc ? "true" : "false"},
                {"com.docker.network.bridge.enable_ip_masquerade",
                 config_.ip_masquerade ? "true" : "false"},
                {"com.docker.network.bridge.host_binding_ipv4", config_.ip},
                {"com.docker.network.bridge.name", config_.bridge}};
            networks_.push_back(std::move(network));
        }
    }
    return transaction.commit();
}

Result<network::BridgeOptions> ContainerNetwork::bridge_options(store::Database& database) {
    network::BridgeOptions options{.name = config_.bridge};
    options.mtu = static_cast<std::uint32_t>(config_.mtu);
    options.inter_container = config_.icc;
    options.masquerade = config_.ip_masquerade && config_.iptables;
    options.pool_size = pool_size;
    if (!config_.bip.empty()) {
        auto prefix = kernel::IpPrefix::parse(config_.bip);
        if (!prefix.ok() || !prefix->address.is_v4()) {
            return invalid_argument(
                "invalid CIDR address for the default bridge (--bip): " + config_.bip);
        }
        options.subnet = prefix->network();
        options.gateway = prefix->address;
    } else {
        auto session = database.session();
        auto statement =
            TRY(session.prepare("SELECT subnet FROM engine_networks WHERE name = 'bridge'"));
        if (TRY(statement.step()) && !statement.text(0).empty()) {
            options.subnet = TRY(kernel::IpPrefix::parse(statement.text(0)));
        }
    }
    if (!config_.fixed_cidr.empty()) {
        options.ip_range = TRY(kernel::IpPrefix::parse(config_.fixed_cidr));
    }
    return options;
}

Result<std::vector<network::PortRequest>> ContainerNetwork::port_requests(
    const ContainerConfig& config, const HostConfig& host_config, const std::string& default_ip) {
    std::vector<network::PortRequest> requests;
    for (const auto& [text, bindings] : host_config.port_bindings) {
        const Port port = TRY(parse_port(text));
        static const std::vector<PortBinding> any{PortBinding{}};
        for (const PortBinding& binding : bindings.empty() ? any : bindings) {
            requests.push_back(TRY(port_request(port, binding, default_ip)));
        }
    }
    for (const auto& [text, nothing] : config.exposed_ports) {
        const Port port = TRY(parse_port(text));
        if (host_config.publish_all_ports && !host_config.port_bindings.contains(text)) {
            requests.push_back(TRY(port_request(port, PortBinding{}, default_ip)));
        }
    }
    return requests;
}

Result<NetworkConnection> ContainerNetwork::connect(const ContainerDefinition& definition) {
    NetworkConnection connection;
    if (definition.host_config.network_mode == "none") {
        connection.netns = TRY(driver_->create_isolated_namespace());
        return connection;
    }
    TRY(find(definition.host_config.network_mode));
    if (bridge_ == nullptr) {
        return not_found("network " + definition.host_config.network_mode + " not found");
    }
    network::EndpointRequest request{.id = random_hex(32), .container_name = definition.name};
    request.ports = TRY(port_requests(definition.config, definition.host_config, config_.ip));
    if (!request.ports.empty() && !config_.iptables) {
        return invalid_argument("ports cannot be published: the daemon runs with --iptables=false");
    }
    TRY(apply_settings(request, definition));
    network::Endpoint endpoint = TRY(bridge_->connect(request));
    connection.netns = std::move(endpoint.netns);
    connection.endpoints.push_back(state_of(endpoint, "bridge"));
    return connection;
}

void ContainerNetwork::disconnect(const std::vector<EndpointState>& endpoints) {
    for (const EndpointState& endpoint : endpoints) {
        if (bridge_ == nullptr || endpoint.network != "bridge") {
            continue;
        }
        auto done = bridge_->disconnect(endpoint.id);
        if (!done.ok() && done.error().kind() != ErrorKind::NotFound) {
            log::warn(
                "endpoint not removed, ignoring",
                {{"endpoint", endpoint.id}, {"error", done.error().message()}});
        }
    }
}

Result<const NetworkInspect*> ContainerNetwork::find(const std::string& text) const {
    const NetworkInspect* by_prefix = nullptr;
    for (const NetworkInspect& network : networks_) {
        if (network.name == text || network.id == text) {
            return &network;
        }
        if (!text.empty() && network.id.starts_with(text)) {
            by_prefix = &network;
        }
    }
    if (by_prefix == nullptr) {
        return not_found("network " + text + " not found");
    }
    return by_prefix;
}

Result<std::shared_ptr<network::BridgeNetwork>>
ContainerNetwork::find_bridge(const std::string& name) const {
    if (!name.empty() && name != "default") {
        const NetworkInspect* found = TRY(find(name));
        if (found->driver != "bridge") {
            return not_found("network " + name + " not found");
        }
    }
    if (bridge_ == nullptr) {
        return not_found("network bridge not found");
    }
    return bridge_;
}

Result<UniqueFd> ContainerNetwork::isolated_namespace() {
    return driver_->create_isolated_namespace();
}

void ContainerNetwork::settle() {
    driver_->wait_until_removed();
}

void ContainerNetwork::remove_all() {
    Result<void> removed = driver_->remove_all();
    if (!removed.ok()) {
        log::warn("networks stay behind, ignoring", {{"error", removed.error().message()}});
    }
}

} // namespace berth::engine
