// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/container_operations_unix.go. The kernel is changed before the record when a
// network comes and after it when one goes: what an engine that dies in between leaves is an
// interface that nobody knows, which the next one sweeps.
#include "engine/network_connector.h"

#include "base/log.h"
#include "engine/config_check.h"

#include <algorithm>

#include <fcntl.h>

namespace berth::engine {
namespace {

Result<void> check_alive(const ContainerView& view) {
    const ContainerStatus status = view.life.state.status;
    if (status == ContainerStatus::Removing || status == ContainerStatus::Dead) {
        return conflict(
            "container " + view.definition->id +
            " is marked for removal and cannot be connected or disconnected to the network");
    }
    return ok();
}

Result<UniqueFd> namespace_of(const ContainerView& view) {
    return open_file("/proc/" + std::to_string(view.life.state.pid) + "/ns/net", O_RDONLY);
}

bool is_connected(const ContainerView& view, const std::string& network) {
    return std::ranges::any_of(view.life.endpoints, [&](const EndpointState& endpoint) {
        return endpoint.network == network;
    });
}

void complain_of_file(const std::string& id, const char* what, const Result<void>& written) {
    if (!written.ok()) {
        log::warn(
            std::string(what) + " not updated, ignoring",
            {{"id", id}, {"error", written.error().message()}});
    }
}

// From the moment on that its end is handled, which takes the monitor first, the endpoints are
// those that the end takes away: one that came later would stay.
bool is_in_run(const LiveState& state, std::uint64_t run) {
    return state.run == run && state.monitor != nullptr && state.life.state.is_running();
}

} // namespace

Result<void> NetworkConnector::connect(
    const KnownNetwork& network, const ContainerPtr& container, const EndpointSettings& settings) {
    const std::lock_guard operation(container->operation);
    const ContainerView view = view_of(*container);
    const std::string& name = network.info.name;
    TRY(check_alive(view));
    TRY(core_.network->check_combination(
        view.definition->host_config.network_mode, view.definition->networking, network));
    TRY(check_endpoint_settings(name, &network, settings));
    const bool is_running = view.life.state.is_running();
    if (is_running && is_connected(view, name)) {
        return Error(
            ErrorKind::Forbidden,
            "endpoint with name " + view.definition->name + " already exists in network " + name);
    }
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    EndpointSettings& kept = changed->networking.endpoints_config[name];
    kept = settings;
    if (is_running) {
        return connect_running(network, *container, view, std::move(changed));
    }
    TRY(commit(*container, 0, changed, nullptr));
    return ok();
}

ContainerFilesInput NetworkConnector::files_with(
    const ContainerDefinition& definition, const std::vector<EndpointState>& endpoints) const {
    return {
        .definition = definition,
        .daemon = core_.config(),
        .directory = core_.directory(definition.id),
        .endpoints = endpoints,
        // Any: its lines are the same before and after, and stay as they are.
        .host_gateways = {kernel::IpAddress()}};
}

Result<void> NetworkConnector::connect_running(
    const KnownNetwork& network,
    LiveContainer& container,
    const ContainerView& view,
    const std::shared_ptr<const ContainerDefinition>& changed) {
    const std::uint64_t run = container.state.lock()->run;
    const UniqueFd netns = TRY(namespace_of(view));
    std::vector<EndpointState> endpoints = view.life.endpoints;
    TRY(core_.network->attach(*changed, network, netns, endpoints));
    const EndpointState made = endpoints.back();
    auto kept = commit(container, run, changed, &endpoints);
    if (!kept.ok() || !*kept) {
        core_.network->detach(*view.definition, network.info.name, netns, endpoints);
        return kept.ok() ? ok() : Result<void>(std::move(kept).error());
    }
    const ContainerFilesInput before = files_with(*changed, view.life.endpoints);
    const ContainerFilesInput after = files_with(*changed, endpoints);
    complain_of_file(container.id, "hosts file", update_hosts(before, after));
    complain_of_file(container.id, "resolv.conf", update_resolv_conf(before, after));
    core_.publish_network(*changed, {made}, "connect");
    return ok();
}

Result<void>
NetworkConnector::disconnect(const std::string& network, const ContainerPtr& container) {
    const std::lock_guard operation(container->operation);
    const ContainerView view = view_of(*container);
    TRY(check_alive(view));
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    const bool was_asked_for = changed->networking.endpoints_config.erase(network) != 0;
    if (!view.life.state.is_running()) {
        if (!was_asked_for) {
            return not_found(
                "container " + container->id + " is not connected to the network " + network);
        }
        TRY(commit(*container, 0, changed, nullptr));
        core_.publish_network(*changed, {EndpointState{.network = network}}, "disconnect");
        return ok();
    }
    if (is_host_mode(view.definition->host_config.network_mode) && network == "host") {
        return invalid_argument("container cannot be disconnected from host network or connected "
                                "to host network");
    }
    if (!is_connected(view, network)) {
        return not_found("container " + container->id + " is not connected to network " + network);
    }
    return disconnect_running(network, *container, view, std::move(changed));
}

Result<void> NetworkConnector::disconnect_running(
    const std::string& network,
    LiveContainer& container,
    const ContainerView& view,
    const std::shared_ptr<const ContainerDefinition>& changed) {
    const std::uint64_t run = container.state.lock()->run;
    const UniqueFd netns = TRY(namespace_of(view));
    std::vector<EndpointState> endpoints = view.life.endpoints;
    std::vector<EndpointState> rest = endpoints;
    std::erase_if(rest, [&](const EndpointState& endpoint) { return endpoint.network == network; });
    const bool is_alive = TRY(commit(container, run, changed, &rest));
    core_.network->detach(*view.definition, network, netns, endpoints);
    if (is_alive) {
        // The published ports may have moved.
        TRY(commit(container, run, changed, &endpoints));
        // The names of a last user-defined network go, its DNS stays: the next one needs it.
        complain_of_file(
            container.id,
            "hosts file",
            update_hosts(
                files_with(*changed, view.life.endpoints), files_with(*changed, endpoints)));
    }
    core_.publish_network(*changed, {EndpointState{.network = network}}, "disconnect");
    return ok();
}

Result<bool> NetworkConnector::commit(
    LiveContainer& container,
    std::uint64_t run,
    std::shared_ptr<const ContainerDefinition> definition,
    const std::vector<EndpointState>* endpoints) {
    ContainerLife life;
    bool is_alive = false;
    {
        auto state = container.state.lock();
        life = state->life;
        is_alive = endpoints != nullptr && is_in_run(*state, run);
    }
    if (is_alive) {
        life.endpoints = *endpoints;
        TRY(core_.table->update(*definition, life));
    } else {
        TRY(core_.table->update_definition(*definition));
    }
    {
        auto state = container.state.lock();
        state->definition = std::move(definition);
        if (is_alive && is_in_run(*state, run)) {
            state->life.endpoints = *endpoints;
            return true;
        }
    }
    if (is_alive) {
        // It ended while the row was written, which may have gone over what its end wrote.
        core_.persist(container, store::Durability::Cache);
    }
    return false;
}

} // namespace berth::engine
