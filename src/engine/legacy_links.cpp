// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/links/links.go and container_operations_unix.go (setupLinkedContainers).
#include "engine/legacy_links.h"

#include "base/strings.h"
#include "engine/config_check.h"
#include "engine/network_registry.h"

#include <algorithm>

namespace berth::engine {
namespace {

struct LinkedPort {
    std::uint16_t number = 0;
    std::string protocol;
};

std::string last_part(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

// TCP first, then by number, as Docker sorts them.
std::vector<LinkedPort> exposed_ports(const ContainerConfig& config) {
    std::vector<LinkedPort> ports;
    for (const auto& [text, nothing] : config.exposed_ports) {
        const auto parts = cut(text, "/");
        const auto number =
            parse_number<std::uint16_t>(parts ? parts->before : std::string_view(text));
        if (number.ok()) {
            ports.push_back({*number, std::string(parts ? parts->after : "tcp")});
        }
    }
    std::ranges::sort(ports, [](const LinkedPort& a, const LinkedPort& b) {
        return std::pair(a.protocol != "tcp", a.number) < std::pair(b.protocol != "tcp", b.number);
    });
    return ports;
}

std::string variable_prefix(const std::string& alias) {
    return to_upper(replace_all(alias, "-", "_"));
}

void add_port(
    std::vector<std::string>& environment,
    const std::string& start,
    const std::string& address,
    const LinkedPort& port) {
    const std::string number = std::to_string(port.number);
    const std::string name = start + "_PORT_" + number + "_" + to_upper(port.protocol);
    environment.push_back(name + "=" + port.protocol + "://" + address + ":" + number);
    environment.push_back(name + "_ADDR=" + address);
    environment.push_back(name + "_PORT=" + number);
    environment.push_back(name + "_PROTO=" + port.protocol);
}

void add_environment(
    std::vector<std::string>& environment,
    const ContainerDefinition& parent,
    const ContainerDefinition& child,
    const std::string& alias,
    const std::string& address) {
    const std::string start = variable_prefix(alias);
    const std::vector<LinkedPort> ports = exposed_ports(child.config);
    if (!ports.empty()) {
        environment.push_back(
            start + "_PORT=" + ports.front().protocol + "://" + address + ":" +
            std::to_string(ports.front().number));
    }
    for (const LinkedPort& port : ports) {
        add_port(environment, start, address, port);
    }
    environment.push_back(start + "_NAME=/" + parent.name + "/" + alias);
    for (const std::string& variable : child.config.env) {
        const auto parts = cut(variable, "=");
        if (parts && parts->before != "HOME" && parts->before != "PATH") {
            environment.push_back(
                start + "_ENV_" + std::string(parts->before) + "=" + std::string(parts->after));
        }
    }
}

bool uses_links(const HostConfig& host_config) {
    // Elsewhere they are the endpoint's.
    return is_predefined_network(host_config.network_mode) && !host_config.links.empty();
}

struct LinkText {
    std::string target;
    std::string alias; // may be empty
};

// moby's daemon/links.go, ParseLink.
Result<LinkText> parse_link(const std::string& text) {
    if (text.empty()) {
        return invalid_argument("empty string specified for links");
    }
    const auto parts = cut(text, ":");
    LinkText link{
        .target = std::string(parts ? parts->before : std::string_view(text)),
        .alias = last_part(parts ? parts->after : std::string_view(text))};
    if (link.alias.find_first_of(": \t\r\n") != std::string::npos) {
        return invalid_argument("bad format for links: " + text);
    }
    if (link.target.empty()) {
        return invalid_argument("could not get container for : invalid name or ID supplied: \"\"");
    }
    return link;
}

// Whoever has the other's network: it may be in that of a third one.
Result<ContainerView> owner_of_network(const std::string& name, const ContainerIndex& containers) {
    std::string text = name;
    for (;;) {
        const auto found = containers.find(text);
        if (!found.ok()) {
            return invalid_argument("could not get container for " + text);
        }
        ContainerView view = view_of(**found);
        text = container_of_mode(view.definition->host_config.network_mode);
        if (text.empty()) {
            return view;
        }
    }
}

std::string first_names(const ContainerLink& link, const ContainerDefinition& other) {
    return link.alias + " " + other.config.hostname;
}

std::vector<std::string> hosts_lines(
    const ContainerLink& link, const ContainerDefinition& other, const EndpointState& endpoint) {
    std::string names = first_names(link, other);
    if (link.alias != other.name) {
        names += " " + other.name;
    }
    std::vector<std::string> lines;
    for (const std::string& address : {endpoint.ip, endpoint.ip_v6}) {
        if (!address.empty()) {
            lines.push_back(address + "\t" + names);
        }
    }
    return lines;
}

} // namespace

const EndpointState* bridge_endpoint(const ContainerLife& life) {
    const auto endpoint = std::ranges::find_if(
        life.endpoints, [](const EndpointState& one) { return one.network == "bridge"; });
    return endpoint == life.endpoints.end() ? nullptr : &*endpoint;
}

Result<std::vector<ContainerLink>>
take_links(HostConfig& host_config, const ContainerIndex& containers) {
    std::vector<ContainerLink> links;
    if (!uses_links(host_config)) {
        host_config.links.clear(); // dockerd passes them over
        return links;
    }
    const Error no_host = invalid_argument(
        "conflicting options: host type networking can't be used with links. This would result in "
        "undefined behavior");
    if (is_host_mode(host_config.network_mode)) {
        return no_host;
    }
    for (const std::string& text : host_config.links) {
        const LinkText link = TRY(parse_link(text));
        const std::string& alias = link.alias;
        const ContainerView other = TRY(owner_of_network(link.target, containers));
        if (is_host_mode(other.definition->host_config.network_mode)) {
            return no_host;
        }
        // As with Docker, the first of two with the same alias counts, and one without any links
        // nothing.
        const bool is_taken = std::ranges::any_of(
            links, [&alias](const ContainerLink& other_link) { return other_link.alias == alias; });
        if (!is_taken && !alias.empty()) {
            links.push_back(
                {.id = other.definition->id, .name = other.definition->name, .alias = alias});
        }
    }
    host_config.links.clear();
    return links;
}

std::vector<std::string>
shown_links(const ContainerDefinition& definition, const ContainerIndex& containers) {
    std::vector<std::string> shown;
    for (const ContainerLink& link : definition.links) {
        const auto other = containers.find_linked(link);
        const std::string name = other.ok() ? view_of(**other).definition->name : link.name;
        shown.push_back("/" + name + ":/" + definition.name + "/" + link.alias);
    }
    return shown;
}

Result<LinkEffects>
link_effects(const ContainerDefinition& definition, const ContainerIndex& containers) {
    LinkEffects effects;
    for (const ContainerLink& link : definition.links) {
        const auto found = containers.find_linked(link);
        const ContainerView child = found.ok() ? view_of(**found) : ContainerView();
        const EndpointState* endpoint = bridge_endpoint(child.life);
        if (child.life.state.is_running() && endpoint == nullptr) {
            return invalid_argument(
                "container " + child.definition->id + " not attached to default bridge network");
        }
        if (!child.life.state.is_running()) {
            return invalid_argument(
                "Cannot link to a non running container: /" +
                (child.definition ? child.definition->name : link.name) + " AS /" +
                definition.name + "/" + link.alias);
        }
        const ContainerDefinition& other = *child.definition;
        for (std::string& line : hosts_lines(link, other, *endpoint)) {
            effects.hosts.push_back(std::move(line));
        }
        add_environment(effects.environment, definition, other, link.alias, endpoint->ip);
    }
    return effects;
}

std::optional<LiveLink> live_link(const ContainerLink& link, const ContainerIndex& containers) {
    const auto found = containers.find_linked(link);
    if (!found.ok()) {
        return std::nullopt;
    }
    const ContainerView other = view_of(**found);
    const EndpointState* endpoint = bridge_endpoint(other.life);
    if (!other.life.state.is_running() || endpoint == nullptr) {
        return std::nullopt;
    }
    LiveLink live{
        .hosts = hosts_lines(link, *other.definition, *endpoint),
        .endpoint = endpoint->id,
        .ports = {}};
    for (const LinkedPort& port : exposed_ports(other.definition->config)) {
        if (const auto protocol = network::parse_protocol(port.protocol); protocol.ok()) {
            live.ports.emplace_back(*protocol, port.number);
        }
    }
    return live;
}

std::string names_of(const ContainerLink& link, const ContainerIndex& containers) {
    const auto found = containers.find_linked(link);
    return found.ok() ? first_names(link, *view_of(**found).definition) : std::string();
}

} // namespace berth::engine
