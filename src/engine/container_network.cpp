// SPDX-License-Identifier: Apache-2.0
// A container's start and end in its networks. What happens in between is in container_attach.cpp.
#include "engine/container_network.h"

#include "base/log.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "engine/cni_options.h"
#include "engine/config_check.h"
#include "engine/network_options.h"
#include "engine/traffic_limits.h"

#include <algorithm>
#include <functional>
#include <tuple>

namespace berth::engine {
namespace {

Error invalid_port(std::string_view text) {
    return invalid_argument("invalid port specification: \"" + std::string(text) + "\"");
}

struct ParsedPort {
    network::Protocol protocol = network::Protocol::Tcp;
    std::uint16_t number = 0;
};

Result<ParsedPort> parse_port(std::string_view text) {
    auto parts = cut(text, "/");
    ParsedPort port;
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
port_request(const ParsedPort& port, const PortBinding& binding, const std::string& default_ip) {
    network::PortRequest request{.protocol = port.protocol, .container_port = port.number};
    request.host_ip =
        TRY(kernel::IpAddress::parse(binding.host_ip.empty() ? default_ip : binding.host_ip));
    // Where --ip is an IPv6 address, ports are of IPv6 alone, as with Docker.
    request.every_family = binding.host_ip.empty() && request.host_ip == kernel::IpAddress();
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

EndpointState state_of(const network::Endpoint& endpoint, const NetworkInspect& network) {
    EndpointState state{.network = network.name, .id = endpoint.id};
    state.network_id = network.id;
    state.interface_name = endpoint.interface_name;
    const auto text_of = [](const kernel::IpAddress& address) {
        return address.is_unspecified() ? std::string() : address.to_string();
    };
    state.ip = text_of(endpoint.ip);
    state.prefix_length = endpoint.prefix_length;
    state.gateway = text_of(endpoint.gateway);
    if (endpoint.ip_v6) {
        state.ip_v6 = endpoint.ip_v6->to_string();
        state.prefix_length_v6 = endpoint.prefix_length_v6;
        state.gateway_v6 = endpoint.gateway_v6 ? endpoint.gateway_v6->to_string() : "";
    }
    state.mac = endpoint.mac.to_string();
    state.host_interface = endpoint.host_interface;
    state.ports = published_ports(endpoint.ports);
    state.dns_servers = endpoint.dns.nameservers;
    state.dns_search = endpoint.dns.search;
    state.dns_options = endpoint.dns.options;
    return state;
}

// "eth" and the first number that no other interface of the container has.
std::string free_interface_name(
    const KnownNetwork& network,
    const EndpointSettings& settings,
    const std::vector<EndpointState>& endpoints) {
    if (std::string name = option_or(settings.driver_opts, endpoint_name_option, "");
        !name.empty()) {
        return name;
    }
    const std::string asked = option_or(network.info.options, interface_prefix_option, "");
    const std::string prefix = asked.empty() ? "eth" : asked;
    for (std::size_t number = 0;; ++number) {
        std::string name = prefix + std::to_string(number);
        const bool is_taken = std::ranges::any_of(endpoints, [&](const EndpointState& endpoint) {
            return endpoint.interface_name == name;
        });
        if (!is_taken) {
            return name;
        }
    }
}

// As Docker sorts them: a fixed port of the host is taken before a range may take it.
// https://github.com/moby/moby/blob/v28.5.0/libnetwork/drivers/bridge/port_mapping_linux.go
void sort_requests(std::vector<network::PortRequest>& requests) {
    const auto key = [](const network::PortRequest& request) {
        const bool is_fixed = request.host_port != 0 && request.host_port_end <= request.host_port;
        return std::tuple(
            !is_fixed,
            request.container_port,
            request.protocol,
            request.host_port,
            request.host_port_end,
            request.host_ip);
    };
    std::ranges::stable_sort(requests, std::less(), key);
}

bool is_private(const KnownNetwork& network) {
    return network.info.driver != "host";
}

} // namespace

std::vector<PublishedPort> published_ports(const std::vector<network::BoundPort>& bound) {
    std::vector<PublishedPort> ports;
    for (const network::BoundPort& port : bound) {
        ports.push_back(
            {std::string(network::to_string(port.protocol)),
             port.container_port,
             port.host_ip.to_string(),
             port.host_port});
    }
    return ports;
}

// A network that a starting container is to be in.
struct ContainerNetwork::Wanted {
    KnownNetworkPtr network;
    const EndpointSettings* settings = nullptr;
};

// One step into one network.
struct ContainerNetwork::Join {
    const KnownNetwork& network;
    const EndpointSettings& settings;
    const std::vector<EndpointState>& others; // that the container has already
    const UniqueFd* netns = nullptr;          // nullptr: a new one comes with it
    bool default_route = false;
    bool default_route_v6 = false;
    bool ports_v4 = false; // it is the one that ports of this family are published on
    bool ports_v6 = false;
    UniqueFd* made_netns = nullptr;
};

Result<std::unique_ptr<ContainerNetwork>> ContainerNetwork::start(
    const DaemonConfig& config,
    store::Database& database,
    const std::vector<ContainerRecord>& running) {
    auto self = std::unique_ptr<ContainerNetwork>(new ContainerNetwork(config));
    self->registry_ = TRY(NetworkRegistry::start(config, database, running));
    return self;
}

Result<void>
ContainerNetwork::normalize(const std::string& mode, NetworkingConfig& networking) const {
    if (!container_of_mode(mode).empty()) {
        return ok();
    }
    std::map<std::string, EndpointSettings> named;
    for (auto& [text, settings] : networking.endpoints_config) {
        // Docker creates on a network that is not there; the start then says so.
        const auto network = find(text);
        const std::string name = network.ok() ? (*network)->info.name : text;
        TRY_CONTEXT(
            check_endpoint_settings(name, network.ok() ? network->get() : nullptr, settings),
            "invalid config for network " + name);
        named.insert_or_assign(name, std::move(settings));
    }
    const auto main = find(mode);
    named.try_emplace(main.ok() ? (*main)->info.name : mode);
    networking.endpoints_config = std::move(named);
    return ok();
}

Result<void> ContainerNetwork::check_combination(
    const std::string& mode,
    const NetworkingConfig& networking,
    const KnownNetwork& network) const {
    constexpr std::string_view shared =
        "container sharing network namespace with another container or host cannot be connected "
        "to any other network";
    if (!container_of_mode(mode).empty()) {
        return invalid_argument(std::string(shared));
    }
    if (!is_host_mode(mode) && !is_private(network)) {
        return invalid_argument("cannot connect container to host network - container must be "
                                "created in host network mode");
    }
    for (const auto& [name, settings] : networking.endpoints_config) {
        const auto other = find(name);
        if (!other.ok() || (*other)->info.id == network.info.id) {
            continue;
        }
        if (!is_private(**other) || !is_private(network)) {
            return invalid_argument(std::string(shared));
        }
        if (name == "none" || network.info.name == "none") {
            return invalid_argument("container cannot be connected to multiple networks with one "
                                    "of the networks in private (none) mode");
        }
    }
    return ok();
}

// The main one first, the others by name.
Result<std::vector<ContainerNetwork::Wanted>>
ContainerNetwork::wanted_networks(const ContainerDefinition& definition) const {
    const std::string& mode = definition.host_config.network_mode;
    const auto main = find(mode);
    std::vector<Wanted> wanted;
    for (const auto& [name, settings] : definition.networking.endpoints_config) {
        KnownNetworkPtr network = TRY(find(name));
        TRY(check_combination(mode, definition.networking, *network));
        const bool is_main = main.ok() && network == *main;
        wanted.insert(
            is_main ? wanted.begin() : wanted.end(),
            Wanted{.network = std::move(network), .settings = &settings});
    }
    return wanted;
}

Result<std::vector<network::PortRequest>> ContainerNetwork::ports_of(
    const ContainerDefinition& definition, const KnownNetwork& network, bool v4, bool v6) const {
    const std::string default_ip = option_or(network.info.options, host_binding_option, config_.ip);
    std::vector<network::PortRequest> ports =
        TRY(port_requests(definition.config, definition.host_config, default_ip));
    if (!ports.empty() && !config_.iptables) {
        return invalid_argument("ports cannot be published: the daemon runs with --iptables=false");
    }
    std::vector<network::PortRequest> chosen;
    for (network::PortRequest& port : ports) {
        if (port.every_family && v4 != v6) {
            port.every_family = false;
            port.host_ip = TRY(kernel::IpAddress::parse(v4 ? "0.0.0.0" : "::"));
        }
        if (port.host_ip.is_v4() ? v4 : v6) {
            chosen.push_back(port);
        }
    }
    return chosen;
}

Result<EndpointState>
ContainerNetwork::join(const ContainerDefinition& definition, const Join& join) {
    const NetworkInspect& info = join.network.info;
    if (info.config_only) {
        return Error(
            ErrorKind::Forbidden,
            "cannot connect container to configuration network: " + info.name);
    }
    if (join.network.network == nullptr) {
        return Error(
            ErrorKind::Unavailable,
            "network " + info.name + " could not be made again when the engine started");
    }
    TRY(check_endpoint_settings(info.name, &join.network, join.settings));
    network::EndpointRequest request = TRY(endpoint_request(join.settings));
    request.id = random_hex(32);
    request.container_name = definition.name;
    if (!request.mac && !definition.config.mac_address.empty()) {
        request.mac = TRY(kernel::MacAddress::parse(definition.config.mac_address));
    }
    request.interface_name = free_interface_name(join.network, join.settings, join.others);
    for (const EndpointState& other : join.others) {
        if (other.interface_name == request.interface_name) {
            return conflict(
                "interface name \"" + request.interface_name + "\" for network " + info.name +
                " is taken: the container's interface in network " + other.network + " has it");
        }
    }
    request.netns = join.netns;
    request.default_route = join.default_route;
    request.default_route_v6 = join.default_route_v6;
    request.rates = TRY(rates_of(info.options, join.settings));
    request.connections = TRY(connections_of(info, join.settings));
    request.disable_ipv6 = info.enable_ipv4 && turns_ipv6_off(definition.host_config);
    if (is_cni_driver(info.driver)) {
        TRY(add_cni_wishes(request, definition, join.settings, config_));
    }
    if (join.ports_v4 || join.ports_v6) {
        request.ports = TRY(ports_of(definition, join.network, join.ports_v4, join.ports_v6));
    }
    network::Endpoint endpoint = TRY(join.network.network->connect(request));
    if (join.made_netns != nullptr && endpoint.netns) {
        *join.made_netns = std::move(endpoint.netns);
    }
    return state_of(endpoint, info);
}

Result<EndpointState> ContainerNetwork::join_running(
    const ContainerDefinition& definition,
    const KnownNetwork& network,
    const UniqueFd& netns,
    const std::vector<EndpointState>& others) {
    return join(
        definition,
        {.network = network,
         .settings = settings_in(definition, network.info.name),
         .others = others,
         .netns = &netns});
}

Result<NetworkConnection>
ContainerNetwork::connect(const ContainerDefinition& definition, UniqueFd netns) {
    NetworkConnection connection{.netns = std::move(netns), .endpoints = {}};
    const std::vector<Wanted> wanted = TRY(wanted_networks(definition));
    const bool is_alone = wanted.empty() || wanted.front().network->info.driver == "null";
    if (is_alone && !connection.netns) {
        connection.netns = TRY(registry_->driver().create_isolated_namespace());
    }
    std::vector<GatewayCandidate> candidates;
    for (const Wanted& one : wanted) {
        candidates.push_back({one.network.get(), one.settings->gw_priority});
    }
    const GatewayChoice gateways = choose_gateways(candidates);
    const GatewayChoice for_ports = gateways.for_ports();
    Rollback rollback;
    rollback.push([&] { disconnect(definition.id, connection.endpoints); });
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const KnownNetwork& network = *wanted[i].network;
        if (network.is_predefined && network.network == nullptr) {
            // The host's network and none have a place in the books, and nothing else.
            connection.endpoints.push_back(
                {.network = network.info.name,
                 .id = random_hex(32),
                 .network_id = network.info.id});
            continue;
        }
        UniqueFd made;
        EndpointState endpoint = TRY(join(
            definition,
            {.network = network,
             .settings = *wanted[i].settings,
             .others = connection.endpoints,
             .netns = connection.netns ? &connection.netns : nullptr,
             .default_route = gateways.v4 == i,
             // Plugins may give IPv6 to a network that was made without.
             .default_route_v6 =
                 gateways.v6 == i || (!gateways.v6 && is_cni_driver(network.info.driver)),
             .ports_v4 = for_ports.v4 == i,
             .ports_v6 = for_ports.v6 == i,
             .made_netns = &made}));
        if (made) {
            connection.netns = std::move(made);
        }
        connection.endpoints.push_back(std::move(endpoint));
    }
    rollback.commit();
    if (connection.netns) {
        announce(definition, connection.endpoints, connection.netns);
    }
    return connection;
}

void ContainerNetwork::leave(
    const std::string& container_id, const EndpointState& endpoint, network::Detach detach) {
    if (watch_ != nullptr) {
        watch_->left(container_id, endpoint.network_id);
    }
    const auto network = find(endpoint.network);
    if (!network.ok() || (*network)->network == nullptr) {
        return;
    }
    auto done = (*network)->network->disconnect(endpoint.id, detach);
    if (!done.ok() && done.error().kind() != ErrorKind::NotFound) {
        log::warn(
            "endpoint not removed, ignoring",
            {{"endpoint", endpoint.id}, {"error", done.error().message()}});
    }
}

void ContainerNetwork::disconnect(
    const std::string& container_id, const std::vector<EndpointState>& endpoints) {
    for (const EndpointState& endpoint : endpoints) {
        leave(container_id, endpoint, network::Detach::Behind);
    }
}

void ContainerNetwork::announce(
    const ContainerDefinition& definition,
    const std::vector<EndpointState>& endpoints,
    FdRef netns) {
    if (watch_ == nullptr) {
        return;
    }
    const auto parsed = [](const std::string& text) -> std::optional<kernel::IpAddress> {
        const auto address = kernel::IpAddress::parse(text);
        return address.ok() ? std::optional(*address) : std::nullopt;
    };
    for (const EndpointState& endpoint : endpoints) {
        const auto network = find(endpoint.network);
        if (!network.ok()) {
            continue;
        }
        if ((*network)->network) {
            (*network)->network->adopt(endpoint.id, netns, endpoint.interface_name);
        }
        const EndpointSettings& settings = settings_in(definition, endpoint.network);
        JoinedEndpoint joined{
            .definition = definition,
            .network_id = (*network)->info.id,
            .network_name = (*network)->info.name,
            .user_defined = !(*network)->is_predefined,
            .internal = (*network)->info.internal,
            .names = dns_names(definition, settings),
            .links = {},
            .dns =
                {.nameservers = endpoint.dns_servers,
                 .search = endpoint.dns_search,
                 .options = endpoint.dns_options},
            .ip = parsed(endpoint.ip),
            .ip_v6 = parsed(endpoint.ip_v6),
            .netns = netns};
        for (const std::string& link : settings.links) {
            const auto parts = cut(link, ":");
            joined.links.push_back(
                {.container = std::string(parts ? parts->before : link),
                 .alias = std::string(parts ? parts->after : link)});
        }
        watch_->joined(joined);
    }
}

Result<std::vector<network::PortRequest>> ContainerNetwork::port_requests(
    const ContainerConfig& config, const HostConfig& host_config, const std::string& default_ip) {
    std::vector<network::PortRequest> requests;
    for (const auto& [text, bindings] : host_config.port_bindings) {
        const ParsedPort port = TRY(parse_port(text));
        static const std::vector<PortBinding> any{PortBinding{}};
        for (const PortBinding& binding : bindings.empty() ? any : bindings) {
            requests.push_back(TRY(port_request(port, binding, default_ip)));
        }
    }
    for (const auto& [text, nothing] : config.exposed_ports) {
        const ParsedPort port = TRY(parse_port(text));
        if (host_config.publish_all_ports && !host_config.port_bindings.contains(text)) {
            requests.push_back(TRY(port_request(port, PortBinding{}, default_ip)));
        }
    }
    sort_requests(requests);
    return requests;
}

Result<std::shared_ptr<network::Network>>
ContainerNetwork::find_bridge(const std::string& name) const {
    const KnownNetworkPtr found =
        TRY(find(name.empty() || name == "default" ? std::string("bridge") : name));
    if (found->network == nullptr) {
        return not_found("network " + name + " not found");
    }
    return found->network;
}

Result<UniqueFd> ContainerNetwork::isolated_namespace() {
    return registry_->driver().create_isolated_namespace();
}

void ContainerNetwork::settle() {
    registry_->driver().wait_until_removed();
}

void ContainerNetwork::remove_all() {
    Result<void> removed = registry_->driver().remove_all();
    if (!removed.ok()) {
        log::warn("networks stay behind, ignoring", {{"error", removed.error().message()}});
    }
}

} // namespace berth::engine
