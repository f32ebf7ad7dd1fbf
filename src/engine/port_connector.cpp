// SPDX-License-Identifier: Apache-2.0
// The kernel is changed before the record when a port comes and after it when one goes, so that an
// engine that dies in between leaves a closed port at most: the next one opens what the record
// says.
#include "engine/port_connector.h"

#include "base/log.h"
#include "base/strings.h"
#include "engine/network_connector.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace berth::engine {
namespace {

Result<void> check_changeable(const ContainerView& view) {
    const ContainerDefinition& definition = *view.definition;
    const ContainerStatus status = view.life.state.status;
    if (status == ContainerStatus::Removing || status == ContainerStatus::Dead) {
        return conflict(
            "container " + definition.id +
            " is marked for removal and its published ports cannot be changed");
    }
    const std::string& mode = definition.host_config.network_mode;
    if (mode == "host" || mode == "none" || mode.starts_with("container:")) {
        return conflict(
            "cannot change the published ports of container " + definition.name +
            ": its network mode is " + mode);
    }
    return ok();
}

// "80" is "80/tcp", as on the command line.
std::string full_port(const std::string& port) {
    return port.find('/') == std::string::npos ? port + "/tcp" : to_lower(port);
}

std::string host_text(const PublishedPort& port) {
    return port.host_port == 0 ? "" : std::to_string(port.host_port);
}

bool is_of(const PublishedPort& published, const std::string& port, const PortBinding& wanted) {
    return std::to_string(published.container_port) + "/" + published.protocol == port &&
           (wanted.host_port.empty() || wanted.host_port == host_text(published)) &&
           (wanted.host_ip.empty() || wanted.host_ip == published.host_ip);
}

bool is_of(const PortBinding& binding, const PortBinding& wanted) {
    return (wanted.host_port.empty() || wanted.host_port == binding.host_port) &&
           (wanted.host_ip.empty() || wanted.host_ip == binding.host_ip);
}

// Of a container that does not run nobody else sees that it asks for a port of the host twice: it
// would never start again.
Result<void> check_distinct(const HostConfig& host, const std::string& default_ip) {
    std::set<std::tuple<network::Protocol, std::string, std::uint16_t>> fixed;
    for (const network::PortRequest& port :
         TRY(ContainerNetwork::port_requests({}, host, default_ip))) {
        const bool is_fixed = port.host_port != 0 && port.host_port_end == 0;
        const std::string address = port.host_ip.to_string();
        if (is_fixed && !fixed.emplace(port.protocol, address, port.host_port).second) {
            return conflict(
                "Bind for " + (port.host_ip.is_v4() ? address : "[" + address + "]") + ":" +
                std::to_string(port.host_port) + " failed: port is already allocated");
        }
    }
    return ok();
}

// -P becomes the ports that it stands for: one of them may be about to go.
void spell_out_all_ports(ContainerDefinition& definition) {
    HostConfig& host = definition.host_config;
    if (!host.publish_all_ports) {
        return;
    }
    host.publish_all_ports = false;
    for (const auto& [port, nothing] : definition.config.exposed_ports) {
        host.port_bindings.try_emplace(port, std::vector<PortBinding>{PortBinding{}});
    }
}

// Whether there was one. `chosen` tells that the number asked for was the engine's choice, from a
// range or from all: then the binding that left it the choice goes.
bool erase_binding(
    HostConfig& host, const std::string& port, const PortBinding& wanted, bool chosen) {
    const auto found = host.port_bindings.find(port);
    if (found == host.port_bindings.end()) {
        return false;
    }
    std::vector<PortBinding>& bindings = found->second;
    if (bindings.empty()) {
        bindings.emplace_back();
    }
    bool erased = std::erase_if(bindings, [&](const PortBinding& binding) {
                      return is_of(binding, wanted);
                  }) != 0;
    if (!erased && chosen) {
        const auto open = std::ranges::find_if(bindings, [](const PortBinding& binding) {
            return binding.host_port.empty() || binding.host_port.find('-') != std::string::npos;
        });
        erased = open != bindings.end();
        if (erased) {
            bindings.erase(open);
        }
    }
    if (bindings.empty()) {
        host.port_bindings.erase(found);
    }
    return erased;
}

std::vector<EndpointState> take_matching(
    std::vector<EndpointState>& endpoints, const std::string& port, const PortBinding& wanted) {
    std::vector<EndpointState> taken;
    for (EndpointState& endpoint : endpoints) {
        EndpointState part = endpoint;
        std::erase_if(part.ports, [&](const PublishedPort& published) {
            return !is_of(published, port, wanted);
        });
        std::erase_if(endpoint.ports, [&](const PublishedPort& published) {
            return is_of(published, port, wanted);
        });
        if (!part.ports.empty()) {
            taken.push_back(std::move(part));
        }
    }
    return taken;
}

} // namespace

Result<std::vector<PublishedPort>>
PortConnector::publish(const ContainerPtr& container, const PortMap& ports) {
    const std::lock_guard operation(container->operation);
    const ContainerView view = view_of(*container);
    TRY(check_changeable(view));
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    // What is new, as if it were all of it.
    ContainerDefinition added = *view.definition;
    added.host_config.port_bindings.clear();
    added.host_config.publish_all_ports = false;
    for (const auto& [text, bindings] : ports) {
        const std::string port = full_port(text);
        std::vector<PortBinding> asked = bindings;
        if (asked.empty()) {
            asked.emplace_back();
        }
        std::vector<PortBinding>& all = changed->host_config.port_bindings[port];
        all.insert(all.end(), asked.begin(), asked.end());
        added.host_config.port_bindings[port] = std::move(asked);
        changed->config.exposed_ports.try_emplace(port);
    }
    if (added.host_config.port_bindings.empty()) {
        return invalid_argument("no ports to publish");
    }
    TRY(ContainerNetwork::port_requests({}, added.host_config, core_.config().ip));
    NetworkConnector connector(core_);
    if (!view.life.state.is_running()) {
        TRY(check_distinct(changed->host_config, core_.config().ip));
        TRY(connector.commit(*container, 0, changed, nullptr));
        return std::vector<PublishedPort>();
    }
    const std::uint64_t run = container->state.lock()->run;
    std::vector<EndpointState> endpoints = view.life.endpoints;
    std::vector<EndpointState> opened = TRY(core_.network->publish(added, endpoints));
    auto kept = connector.commit(*container, run, changed, &endpoints);
    if (!kept.ok() || !*kept) {
        core_.network->withdraw(opened);
        TRY(kept);
    }
    core_.publish(*changed, "update");
    std::vector<PublishedPort> now;
    for (const EndpointState& endpoint : opened) {
        now.insert(now.end(), endpoint.ports.begin(), endpoint.ports.end());
    }
    return now;
}

Result<void> PortConnector::withdraw(const ContainerPtr& container, const PortMap& ports) {
    const std::lock_guard operation(container->operation);
    const ContainerView view = view_of(*container);
    TRY(check_changeable(view));
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    spell_out_all_ports(*changed);
    std::vector<EndpointState> endpoints = view.life.endpoints;
    std::vector<EndpointState> closing;
    for (const auto& [text, bindings] : ports) {
        const std::string port = full_port(text);
        static const std::vector<PortBinding> any{PortBinding{}};
        for (const PortBinding& wanted : bindings.empty() ? any : bindings) {
            std::vector<EndpointState> taken = take_matching(endpoints, port, wanted);
            const bool erased = erase_binding(changed->host_config, port, wanted, !taken.empty());
            if (!erased && taken.empty()) {
                const std::string host =
                    wanted.host_port.empty() ? "" : " at host port " + wanted.host_port;
                return not_found(
                    "No public port '" + port + "' published for " + view.definition->name + host);
            }
            std::ranges::move(taken, std::back_inserter(closing));
        }
    }
    const bool is_running = view.life.state.is_running();
    const std::uint64_t run = is_running ? container->state.lock()->run : 0;
    TRY(NetworkConnector(core_).commit(
        *container, run, changed, is_running ? &endpoints : nullptr));
    core_.network->withdraw(closing);
    core_.publish(*changed, "update");
    return ok();
}

} // namespace berth::engine
