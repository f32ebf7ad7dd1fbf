// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/list.go.
#include "engine/container_filter.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::engine {
namespace {

struct Ports {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    std::string_view protocol; // within the text
};

// "80", "80/tcp" or "8000-8080/udp".
std::optional<Ports> parse_ports(std::string_view text) {
    const auto parts = cut(text, "/");
    const std::string_view numbers = parts ? parts->before : text;
    const auto range = cut(numbers, "-");
    const auto first = parse_number<std::uint16_t>(range ? range->before : numbers);
    const auto last = range ? parse_number<std::uint16_t>(range->after) : first;
    if (!first.ok() || !last.ok()) {
        return std::nullopt;
    }
    return Ports{*first, *last, parts ? parts->after : std::string_view("tcp")};
}

bool port_matches(const std::string& wanted, std::string_view protocol, std::uint16_t port) {
    const auto ports = parse_ports(wanted);
    return ports && ports->protocol == protocol && ports->first <= port && port <= ports->last;
}

} // namespace

Result<ContainerFilter> ContainerFilter::create(const Core& core, const ListOptions& options) {
    TRY(options.filters.allow_only(
        {"ancestor",
         "annotation",
         "before",
         "exited",
         "expose",
         "health",
         "id",
         "isolation",
         "is-task",
         "label",
         "name",
         "network",
         "publish",
         "since",
         "status",
         "volume"}));
    ContainerFilter filter(options);
    TRY(filter.resolve(core));
    return filter;
}

Result<void> ContainerFilter::resolve(const Core& core) {
    const Filters& filters = options_.filters;
    all_ = options_.all || options_.limit > 0 || filters.contains("status");
    for (const std::string& status : filters.get("status")) {
        if (!parse_container_status(status)) {
            return invalid_argument(
                "invalid filter 'status=" + status + "': invalid value for state (" + status +
                "): must be one of created, running, paused, restarting, removing, exited, dead");
        }
    }
    for (const std::string& health : filters.get("health")) {
        if (health != "none" && health != "starting" && health != "healthy" &&
            health != "unhealthy") {
            return invalid_argument(
                "invalid filter 'health=" + health + "': invalid value for health (" + health +
                "): must be one of none, starting, healthy, unhealthy");
        }
    }
    // No container belongs to a swarm's task.
    none_ = TRY(filters.get_bool("is-task", false));
    // Nor has any the id of a script's empty variable: "docker rm $(docker ps -aqf id=$NONE)".
    none_ = none_ || filters.get("id") == std::vector<std::string>{""};
    for (const char* name : {"publish", "expose"}) {
        for (const std::string& text : filters.get(name)) {
            if (!parse_ports(text)) {
                return invalid_argument(
                    "error while looking up for " + std::string(name) + " " + text +
                    ": invalid port");
            }
        }
    }
    for (const std::string& code : filters.get("exited")) {
        if (!parse_number<std::int64_t>(code).ok()) {
            return invalid_argument("invalid filter 'exited=" + code + "'");
        }
    }
    for (const auto& [name, target] :
         {std::pair{"before", &before_}, std::pair{"since", &since_}}) {
        for (const std::string& text : filters.get(name)) {
            ContainerPtr container = TRY(core.index.find(text));
            *target = view_of(*container).definition->created;
        }
    }
    for (const std::string& text : filters.get("ancestor")) {
        auto image = core.images->inspect(text);
        ancestors_.push_back(image.ok() ? image->id : std::string());
    }
    for (const std::string& text : filters.get("network")) {
        auto network = core.network->find(text);
        networks_.push_back(network.ok() ? (*network)->info.name : text);
    }
    return ok();
}

bool ContainerFilter::matches_state(const ContainerView& view) const {
    const ContainerState& state = view.life.state;
    const Filters& filters = options_.filters;
    if (!filters.exact_match("status", to_string(state.status))) {
        return false;
    }
    if (filters.contains("exited") &&
        (state.is_running() || state.started_at.is_zero() ||
         !filters.exact_match("exited", std::to_string(state.exit_code)))) {
        return false;
    }
    return filters.exact_match("health", state.health ? state.health->status : "none");
}

bool ContainerFilter::matches_mounts(const ContainerView& view) const {
    const std::vector<std::string>& wanted = options_.filters.get("volume");
    return wanted.empty() || std::ranges::any_of(wanted, [&view](const std::string& text) {
               return std::ranges::any_of(
                   view.definition->mounts, [&text](const PlannedMount& mount) {
                       return mount.point.name == text || mount.point.destination == text ||
                              mount.point.source == text;
                   });
           });
}

bool ContainerFilter::matches_network(const ContainerView& view) const {
    const auto& joined = view.definition->networking.endpoints_config;
    return networks_.empty() || std::ranges::any_of(networks_, [&](const std::string& name) {
               return joined.contains(name);
           });
}

bool ContainerFilter::matches_ports(const ContainerView& view) const {
    const std::vector<std::string>& published = options_.filters.get("publish");
    const std::vector<std::string>& exposed = options_.filters.get("expose");
    const bool publish_matches =
        published.empty() || std::ranges::any_of(published, [&view](const std::string& text) {
            for (const EndpointState& endpoint : view.life.endpoints) {
                for (const PublishedPort& port : endpoint.ports) {
                    if (port_matches(text, port.protocol, port.host_port)) {
                        return true;
                    }
                }
            }
            return false;
        });
    const bool expose_matches =
        exposed.empty() || std::ranges::any_of(exposed, [&view](const std::string& text) {
            return std::ranges::any_of(
                view.definition->config.exposed_ports, [&text](const auto& entry) {
                    auto parts = cut(entry.first, "/");
                    const auto number = parse_number<std::uint16_t>(
                        parts ? parts->before : std::string_view(entry.first));
                    return number.ok() && port_matches(text, parts ? parts->after : "tcp", *number);
                });
        });
    return publish_matches && expose_matches;
}

bool ContainerFilter::matches(const ContainerView& view) const {
    const ContainerDefinition& definition = *view.definition;
    const ContainerStatus status = view.life.state.status;
    const bool counts_as_running =
        view.life.state.is_running() || status == ContainerStatus::Restarting;
    if (none_ || (!counts_as_running && !all_)) {
        return false;
    }
    if ((before_ && definition.created >= *before_) || (since_ && definition.created <= *since_)) {
        return false;
    }
    if (!ancestors_.empty() &&
        std::ranges::find(ancestors_, definition.image_id) == ancestors_.end()) {
        return false;
    }
    return options_.filters.prefix_match("id", definition.id) &&
           (names_.match(definition.name) || names_.match("/" + definition.name)) &&
           options_.filters.match_labels("label", definition.config.labels) &&
           options_.filters.match_labels("annotation", definition.host_config.annotations) &&
           matches_state(view) && matches_mounts(view) && matches_network(view) &&
           matches_ports(view);
}

} // namespace berth::engine
