// SPDX-License-Identifier: Apache-2.0
// From the engine's words to those of the server.
#include "engine/embedded_dns.h"

#include "base/log.h"
#include "base/strings.h"
#include "engine/container_files.h"
#include "engine/names.h"
#include "network/resolv_conf.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

namespace berth::engine {
namespace {

constexpr std::size_t full_id_length = 64;

// The names of well-known ports (IANA), for SRV questions.
constexpr std::array<std::pair<std::uint16_t, std::string_view>, 12> service_names{{
    {22, "ssh"},
    {25, "smtp"},
    {80, "http"},
    {389, "ldap"},
    {443, "https"},
    {1883, "mqtt"},
    {3306, "mysql"},
    {5432, "postgresql"},
    {5672, "amqp"},
    {6379, "redis"},
    {9092, "kafka"},
    {27017, "mongodb"},
}};

// "80/tcp", as exposed ports are written; a range or nonsense has no service.
void add_service(std::vector<network::DnsPort>& services, std::string_view text) {
    const std::optional<Cut> parts = cut(text, "/");
    const Result<std::uint16_t> port = parse_number<std::uint16_t>(parts ? parts->before : text);
    if (!port.ok()) {
        return;
    }
    const std::string protocol(parts ? parts->after : "tcp");
    services.push_back({std::to_string(*port), protocol, *port});
    for (const auto& [number, name] : service_names) {
        if (number == *port) {
            services.push_back({std::string(name), protocol, *port});
        }
    }
}

network::DnsRecord record_of(const JoinedEndpoint& endpoint) {
    network::DnsRecord record{.id = endpoint.definition.id};
    if (!endpoint.names.empty()) {
        record.name = endpoint.names.front();
        record.aliases.assign(endpoint.names.begin() + 1, endpoint.names.end());
    }
    for (const std::optional<kernel::IpAddress>& address : {endpoint.ip, endpoint.ip_v6}) {
        if (address) {
            record.addresses.push_back(*address);
        }
    }
    for (const auto& [text, nothing] : endpoint.definition.config.exposed_ports) {
        add_service(record.ports, text);
    }
    return record;
}

network::DnsNetwork network_of(const JoinedEndpoint& endpoint) {
    network::DnsNetwork network{.id = endpoint.network_id, .name = endpoint.network_name};
    for (const EndpointLink& link : endpoint.links) {
        // Names of a network have short ids among them.
        network.links[link.alias] = link.container.size() == full_id_length
                                        ? link.container.substr(0, short_id_length)
                                        : link.container;
    }
    return network;
}

std::vector<kernel::IpAddress> addresses_of(const std::vector<std::string>& texts) {
    std::vector<kernel::IpAddress> addresses;
    for (const std::string& text : texts) {
        if (const auto address = kernel::IpAddress::parse(text); address.ok()) {
            addresses.push_back(*address);
        }
    }
    return addresses;
}

std::int64_t priority_of(const JoinedEndpoint& endpoint) {
    const auto& settings = endpoint.definition.networking.endpoints_config;
    const auto found = settings.find(endpoint.network_name);
    return found == settings.end() ? 0 : found->second.gw_priority;
}

} // namespace

Result<std::unique_ptr<EmbeddedDns>> EmbeddedDns::start(const DaemonConfig& config) {
    std::unique_ptr<network::DnsServer> server = TRY(network::DnsServer::start({}));
    return std::unique_ptr<EmbeddedDns>(new EmbeddedDns(config, std::move(server)));
}

void EmbeddedDns::refresh_view(Container& container) {
    // As moby's Endpoint.Less: the way out first, internal networks last, by name among equals.
    std::sort(
        container.members.begin(), container.members.end(), [](const Member& a, const Member& b) {
            return std::tuple(-a.priority, a.internal, a.network.name) <
                   std::tuple(-b.priority, b.internal, b.network.name);
        });
    container.view.servers = container.servers;
    const auto with_servers = std::ranges::find_if(
        container.members, [](const Member& member) { return !member.dns.nameservers.empty(); });
    if (!container.has_own_servers && with_servers != container.members.end()) {
        container.view.servers = addresses_of(with_servers->dns.nameservers);
    }
    container.view.networks.clear();
    container.view.has_way_out = false;
    for (const Member& member : container.members) {
        container.view.has_way_out |= !member.internal;
        if (member.user_defined) {
            container.view.networks.push_back(member.network);
        }
    }
}

void EmbeddedDns::joined(const JoinedEndpoint& endpoint) {
    const std::string& id = endpoint.definition.id;
    if (endpoint.user_defined) {
        server_->names().add(endpoint.network_id, record_of(endpoint));
    }
    const Result<network::HostResolvConf> host = network::find_host_resolv_conf();
    const network::EmbeddedResolvConf conf = network::embedded_resolv_conf(
        host.ok() ? *host : network::HostResolvConf{}, dns_options(endpoint.definition, config_));
    network::DnsView view;
    {
        auto containers = containers_.lock();
        Container& container = (*containers)[id];
        std::erase_if(container.members, [&](const Member& member) {
            return member.network.id == endpoint.network_id;
        });
        container.members.push_back(
            {.network = network_of(endpoint),
             .priority = priority_of(endpoint),
             .user_defined = endpoint.user_defined,
             .internal = endpoint.internal,
             .dns = endpoint.dns});
        container.servers = conf.servers;
        container.has_own_servers = !endpoint.definition.host_config.dns.empty();
        refresh_view(container);
        container.view.has_ndots = conf.has_ndots;
        view = container.view;
    }
    // With its first user-defined network, or the next one where that failed.
    if (server_->update(id, view) || view.networks.empty()) {
        return;
    }
    const Result<void> attached = server_->attach(id, endpoint.netns, std::move(view));
    if (!attached.ok()) {
        log::warn(
            "a container has no embedded DNS, ignoring",
            {{"id", id}, {"error", attached.error().message()}});
    }
}

void EmbeddedDns::left(const std::string& container_id, const std::string& network_id) {
    server_->names().remove(network_id, container_id);
    std::optional<network::DnsView> view; // absent: it has left its last network
    {
        auto containers = containers_.lock();
        const auto found = containers->find(container_id);
        if (found == containers->end()) {
            return;
        }
        Container& container = found->second;
        std::erase_if(container.members, [&](const Member& member) {
            return member.network.id == network_id;
        });
        if (container.members.empty()) {
            containers->erase(found);
        } else {
            refresh_view(container);
            view = container.view;
        }
    }
    if (view) {
        server_->update(container_id, *std::move(view));
    } else {
        server_->detach(container_id);
    }
}

} // namespace berth::engine
