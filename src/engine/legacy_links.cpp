// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/links/links.go and container_operations_unix.go (setupLinkedContainers).
#include "engine/legacy_links.h"

#include "base/strings.h"
#include "engine/config_check.h"
#include "engine/network_registry.h"

#include <algorithm>

namespace berth::engine {
namespace {

struct Port {
    std::uint16_t number = 0;
    std::string protocol;
};

std::string last_part(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

// TCP first, then by number, as Docker sorts them.
std::vector<Port> exposed_ports(const ContainerConfig& config) {
    std::vector<Port> ports;
    for (const auto& [text, nothing] : config.exposed_ports) {
        const auto parts = cut(text, "/");
        const auto number =
            parse_number<std::uint16_t>(parts ? parts->before : std::string_view(text));
        if (number.ok()) {
            ports.push_back({*number, std::string(parts ? parts->after : "tcp")});
        }
    }
    std::ranges::sort(ports, [](const Port& a, const Port& b) {
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
    const Port& port) {
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
    const std::vector<Port> ports = exposed_ports(child.config);
    if (!ports.empty()) {
        environment.push_back(
            start + "_PORT=" + ports.front().protocol + "://" + address + ":" +
            std::to_string(ports.front().number));
    }
    for (const Port& port : ports) {
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

} // namespace

Result<void>
check_links(const std::string& name, HostConfig& host_config, const ContainerIndex& containers) {
    if (!uses_links(host_config)) {
        return ok();
    }
    if (is_host_mode(host_config.network_mode)) {
        return invalid_argument("conflicting options: host type networking can't be used with "
                                "links. This would result in undefined behavior");
    }
    for (std::string& link : host_config.links) {
        const auto parts = cut(link, ":");
        const std::string target(parts ? parts->before : std::string_view(link));
        const std::string alias = last_part(parts ? parts->after : std::string_view(link));
        if (target.empty() || alias.empty()) {
            return invalid_argument("bad format for links: " + link);
        }
        const auto child = containers.find(target);
        if (!child.ok()) {
            return invalid_argument("could not get container for " + target);
        }
        const ContainerView view = view_of(**child);
        if (is_host_mode(view.definition->host_config.network_mode)) {
            return invalid_argument("conflicting options: host type networking can't be used with "
                                    "links. This would result in undefined behavior");
        }
        link = "/" + view.definition->name + ":/" + name + "/" + alias;
    }
    return ok();
}

Result<LinkEffects>
link_effects(const ContainerDefinition& definition, const ContainerIndex& containers) {
    LinkEffects effects;
    if (!uses_links(definition.host_config)) {
        return effects;
    }
    for (const std::string& link : definition.host_config.links) {
        const auto parts = cut(link, ":");
        if (!parts) {
            continue;
        }
        const std::string alias = last_part(parts->after);
        const ContainerView child = view_of(*TRY(containers.find(std::string(parts->before))));
        const ContainerDefinition& other = *child.definition;
        const auto endpoint = std::ranges::find_if(
            child.life.endpoints, [](const EndpointState& one) { return one.network == "bridge"; });
        if (!child.life.state.is_running() || endpoint == child.life.endpoints.end()) {
            return invalid_argument(
                "Cannot link to a non running container: /" + other.name + " AS /" +
                definition.name + "/" + alias);
        }
        std::string names = alias + " " + other.config.hostname;
        if (alias != other.name) {
            names += " " + other.name;
        }
        effects.hosts.push_back(endpoint->ip + "\t" + names);
        add_environment(effects.environment, definition, other, alias, endpoint->ip);
    }
    return effects;
}

} // namespace berth::engine
