// SPDX-License-Identifier: Apache-2.0
// The service for networks, after moby's daemon/network.go.
#include "engine/networks.h"

#include "base/log.h"
#include "base/moment.h"
#include "base/strings.h"
#include "engine/names.h"
#include "engine/network_connector.h"
#include "engine/pattern.h"
#include "engine/supervisor.h"

#include <set>

namespace berth::engine {
namespace {

std::string with_length(const std::string& address, std::int64_t length) {
    return address.empty() ? std::string() : address + "/" + std::to_string(length);
}

std::string quoted(std::string_view name, const std::string& text) {
    return std::string(name) + ":\"" + text + "\"";
}

// The networks that running containers are in.
std::set<std::string> networks_in_use(const Core& core) {
    std::set<std::string> names;
    for (const ContainerPtr& container : core.index.all()) {
        for (const EndpointState& endpoint : view_of(*container).life.endpoints) {
            names.insert(endpoint.network);
        }
    }
    return names;
}

} // namespace

Result<std::vector<NetworkInspect>> Networks::list(const Filters& filters) const {
    TRY(filters.allow_only({"dangling", "driver", "id", "label", "name", "scope", "type"}));
    for (const std::string& type : filters.get("type")) {
        if (type != "custom" && type != "builtin") {
            return invalid_argument("invalid filter: 'type'='" + type + "'");
        }
    }
    std::optional<bool> dangling;
    std::set<std::string> in_use;
    if (filters.contains("dangling")) {
        dangling = TRY(filters.get_bool("dangling", false));
        in_use = networks_in_use(supervisor_.core);
    }
    const NamePatterns names(filters.get("name"));
    const NamePatterns ids(filters.get("id"));
    std::vector<NetworkInspect> result;
    for (const KnownNetworkPtr& network : supervisor_.core.network->registry().all()) {
        const NetworkInspect& info = network->info;
        const bool is_dangling = !network->is_predefined && !in_use.contains(info.name);
        if ((!dangling || *dangling == is_dangling) && names.match(info.name) &&
            filters.exact_match("driver", info.driver) && ids.match(info.id) &&
            filters.exact_match("type", network->is_predefined ? "builtin" : "custom") &&
            filters.exact_match("scope", info.scope) &&
            filters.match_labels("label", info.labels)) {
            result.push_back(info);
        }
    }
    return result;
}

std::vector<NetworkEndpoint> Networks::endpoints_in(const NetworkInspect& network) const {
    std::vector<NetworkEndpoint> endpoints;
    for (const ContainerPtr& container : supervisor_.core.index.all()) {
        const ContainerView view = view_of(*container);
        for (const EndpointState& endpoint : view.life.endpoints) {
            if (endpoint.network == network.name) {
                endpoints.push_back(
                    {.container_id = container->id,
                     .name = view.definition->name,
                     .endpoint_id = endpoint.id,
                     .mac_address = endpoint.mac,
                     .ipv4_address = with_length(endpoint.ip, endpoint.prefix_length),
                     .ipv6_address = with_length(endpoint.ip_v6, endpoint.prefix_length_v6)});
            }
        }
    }
    return endpoints;
}

Result<NetworkInspect> Networks::inspect(const std::string& network) const {
    NetworkInspect result = TRY(supervisor_.core.network->find(network))->info;
    for (NetworkEndpoint& endpoint : endpoints_in(result)) {
        std::string id = endpoint.container_id;
        result.containers.emplace(std::move(id), std::move(endpoint));
    }
    return result;
}

void Networks::publish(const NetworkInspect& network, const std::string& action) {
    Event event{.type = "network", .action = action, .actor_id = network.id, .time = {}};
    event.attributes = {{"name", network.name}, {"type", network.driver}};
    supervisor_.core.events->publish(std::move(event));
}

Result<std::string> Networks::create(const NetworkCreate& request) {
    const KnownNetworkPtr made = TRY(supervisor_.core.network->registry().create(request));
    publish(made->info, "create");
    return made->info.id;
}

Result<void> Networks::remove(const std::string& network) {
    NetworkRegistry& registry = supervisor_.core.network->registry();
    const KnownNetworkPtr found = TRY(registry.find(network));
    if (!found->is_predefined) {
        std::vector<std::string> active;
        for (const NetworkEndpoint& endpoint : endpoints_in(found->info)) {
            active.push_back(
                quoted("name", endpoint.name) + " " +
                quoted("id", endpoint.endpoint_id.substr(0, short_id_length)));
        }
        if (!active.empty()) {
            return Error(
                ErrorKind::Forbidden,
                "error while removing network: network " + found->info.name +
                    " has active endpoints (" + join(active, ", ") + ")");
        }
    }
    TRY(registry.remove(found));
    publish(found->info, "destroy");
    return ok();
}

Result<void> Networks::connect(
    const std::string& network, const std::string& container, const EndpointSettings& settings) {
    const KnownNetworkPtr found = TRY(supervisor_.core.network->find(network));
    const ContainerPtr joining = TRY(supervisor_.core.index.find(container));
    return measure(supervisor_.core.metrics.networks.connect, [&] {
        return NetworkConnector(supervisor_.core).connect(*found, joining, settings);
    });
}

Result<void>
Networks::disconnect(const std::string& network, const std::string& container, bool force) {
    const auto found = supervisor_.core.network->find(network);
    if (!found.ok() && !force) {
        return Error(found.error());
    }
    // By force also from a network that is there no more.
    return NetworkConnector(supervisor_.core)
        .disconnect(
            found.ok() ? (*found)->info.name : network,
            TRY(supervisor_.core.index.find(container)));
}

Result<NetworkPruneReport> Networks::prune(const Filters& filters) {
    TRY(filters.allow_only({"label", "label!", "until"}));
    std::optional<Timestamp> until;
    for (const std::string& text : filters.get("until")) {
        if (until) {
            return invalid_argument("more than one until filter specified");
        }
        until = TRY(parse_moment(text));
    }
    NetworkPruneReport report;
    NetworkRegistry& registry = supervisor_.core.network->registry();
    const std::set<std::string> in_use = networks_in_use(supervisor_.core);
    for (const KnownNetworkPtr& network : registry.all()) {
        const NetworkInspect& info = network->info;
        if (network->is_predefined || info.config_only || in_use.contains(info.name) ||
            (until && info.created > *until) || !filters.match_labels("label", info.labels) ||
            (filters.contains("label!") && filters.match_labels("label!", info.labels))) {
            continue;
        }
        if (auto removed = registry.remove(network); removed.ok()) {
            publish(info, "destroy");
            report.deleted.push_back(info.name);
        } else {
            log::warn(
                "network not pruned, ignoring",
                {{"network", info.name}, {"error", removed.error().message()}});
        }
    }
    Event event{.type = "network", .action = "prune", .actor_id = {}, .time = {}};
    event.attributes = {{"reclaimed", "0"}};
    supervisor_.core.events->publish(std::move(event));
    return report;
}

} // namespace berth::engine
