// SPDX-License-Identifier: Apache-2.0
// Inspect and list, after moby's daemon/inspect.go, list.go and container/state.go.
#include "engine/container_reader.h"

#include "base/human_duration.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/apparmor.h"
#include "engine/config_check.h"
#include "engine/container_filter.h"
#include "engine/legacy_links.h"
#include "engine/link_renewal.h"
#include "engine/log_config.h"

#include <algorithm>
#include <functional>
#include <iterator>

namespace berth::engine {
namespace {

// moby quotes what has a space in it.
std::string command_text(const ContainerDefinition& definition) {
    std::string text = definition.path;
    for (const std::string& argument : definition.arguments) {
        text += ' ';
        text += argument.find(' ') == std::string::npos ? argument : "'" + argument + "'";
    }
    return text;
}

std::vector<MountPoint> mount_points(const ContainerDefinition& definition) {
    std::vector<MountPoint> points;
    for (const PlannedMount& mount : definition.mounts) {
        // What --tmpfs asks for stands in HostConfig alone, as with Docker.
        const bool is_asked_there =
            std::ranges::any_of(definition.host_config.tmpfs, [&mount](const auto& entry) {
                return clean_path(entry.first) == mount.point.destination;
            });
        if (!is_asked_there) {
            points.push_back(mount.point);
        }
    }
    return points;
}

std::vector<PortSummary> port_summaries(const ContainerView& view) {
    std::vector<PortSummary> ports;
    for (const EndpointState& endpoint : view.life.endpoints) {
        for (const PublishedPort& port : endpoint.ports) {
            ports.push_back({port.host_ip, port.container_port, port.host_port, port.protocol});
        }
    }
    if (!view.life.state.is_running()) {
        return ports;
    }
    for (const auto& [text, nothing] : view.definition->config.exposed_ports) {
        auto parts = cut(text, "/");
        const std::string type(parts ? parts->after : "tcp");
        const std::uint16_t number =
            parse_number<std::uint16_t>(parts ? parts->before : std::string_view(text)).value_or(0);
        const bool is_published = std::ranges::any_of(ports, [&](const PortSummary& port) {
            return port.private_port == number && port.type == type;
        });
        if (!is_published) {
            ports.push_back({"", number, 0, type});
        }
    }
    return ports;
}

void show_endpoint(const EndpointState& endpoint, EndpointSettings& shown) {
    shown.endpoint_id = endpoint.id;
    shown.gateway = endpoint.gateway;
    shown.ip_address = endpoint.ip;
    shown.ip_prefix_len = endpoint.ip.empty() ? 0 : endpoint.prefix_length;
    shown.mac_address = endpoint.mac;
    shown.ipv6_gateway = endpoint.gateway_v6;
    shown.global_ipv6_address = endpoint.ip_v6;
    shown.global_ipv6_prefix_len = endpoint.prefix_length_v6;
}

} // namespace

std::string status_text(const ContainerState& state, Timestamp now) {
    const auto since = [now](Timestamp time) {
        return human_duration((now.nanoseconds - time.nanoseconds) / 1'000'000'000);
    };
    const std::string code = "(" + std::to_string(state.exit_code) + ")";
    switch (state.status) {
    case ContainerStatus::Created:
        return "Created";
    case ContainerStatus::Running: {
        std::string text = "Up " + since(state.started_at);
        if (state.health && state.health->status != "none") {
            text += state.health->status == "starting" ? " (health: starting)"
                                                       : " (" + state.health->status + ")";
        }
        return text;
    }
    case ContainerStatus::Paused:
        return "Up " + since(state.started_at) + " (Paused)";
    case ContainerStatus::Restarting:
        return "Restarting " + code + " " + since(state.finished_at) + " ago";
    case ContainerStatus::Removing:
        return "Removal In Progress";
    case ContainerStatus::Exited:
        return "Exited " + code + " " + since(state.finished_at) + " ago";
    case ContainerStatus::Dead:
        return "Dead";
    }
    return {};
}

NetworkSettings ContainerReader::network_settings(const ContainerView& view) const {
    NetworkSettings settings;
    const ContainerDefinition& definition = *view.definition;
    const std::string& mode = definition.host_config.network_mode;
    if (!container_of_mode(mode).empty()) {
        return settings;
    }
    for (const auto& [name, asked] : definition.networking.endpoints_config) {
        EndpointSettings shown = asked;
        if (const auto network = core_.network->find(name); network.ok()) {
            shown.network_id = (*network)->info.id;
            if (!(*network)->is_predefined) {
                shown.dns_names = dns_names(definition, asked);
            }
        }
        settings.networks.emplace(name, std::move(shown));
    }
    for (const EndpointState& endpoint : view.life.endpoints) {
        show_endpoint(endpoint, settings.networks[endpoint.network]);
    }
    if (!view.life.state.is_running()) {
        return settings;
    }
    settings.sandbox_id = definition.id;
    settings.sandbox_key = "/proc/" + std::to_string(view.life.state.pid) + "/ns/net";
    for (const auto& [port, nothing] : definition.config.exposed_ports) {
        settings.ports.try_emplace(port);
    }
    for (const EndpointState& endpoint : view.life.endpoints) {
        for (const PublishedPort& port : endpoint.ports) {
            settings.ports[std::to_string(port.container_port) + "/" + port.protocol].push_back(
                {port.host_ip, port.host_port == 0 ? "" : std::to_string(port.host_port)});
        }
    }
    return settings;
}

Result<void> ContainerReader::add_size(
    const std::string& id,
    std::optional<std::int64_t>& size_rw,
    std::optional<std::int64_t>& size_root_fs) const {
    store::LayerStore& layers = core_.store->layers();
    const std::uint64_t written = TRY(layers.usage(id));
    std::uint64_t below = 0;
    const oci::Digest parent = TRY(layers.parent_of(id));
    if (!parent.empty()) {
        for (const store::LayerInfo& layer : TRY(layers.chain(parent))) {
            below += layer.size;
        }
    }
    size_rw = static_cast<std::int64_t>(written);
    size_root_fs = static_cast<std::int64_t>(written + below);
    return ok();
}

Result<ContainerInspect> ContainerReader::inspect(const ContainerPtr& container, bool size) const {
    const ContainerView view = view_of(*container);
    const ContainerDefinition& definition = *view.definition;
    ContainerInspect result;
    result.id = definition.id;
    result.created = definition.created;
    result.path = definition.path;
    result.args = definition.arguments;
    result.state = view.life.state;
    result.image_id = definition.image_id;
    const std::string directory = core_.directory(definition.id);
    result.resolv_conf_path = directory + "/resolv.conf";
    result.hostname_path = directory + "/hostname";
    result.hosts_path = directory + "/hosts";
    result.log_path = log_path(definition.host_config.log_config, definition.id, directory);
    result.name = "/" + definition.name;
    result.restart_count = view.life.restart_count;
    result.driver = core_.store->layers().driver_name();
    const auto security =
        parse_security_options(definition.host_config.security_opt, core_.config());
    if (security.ok()) {
        result.app_armor_profile = apparmor_profile(definition.host_config, *security);
    }
    result.process_label = definition.process_label;
    result.mount_label = definition.mount_label;
    result.exec_ids = view.exec_ids;
    result.config = definition.config;
    const auto& asked = definition.networking.endpoints_config;
    const auto main = asked.find(definition.host_config.network_mode);
    if (result.config.mac_address.empty() && main != asked.end()) {
        result.config.mac_address = main->second.mac_address; // what clients before 1.44 set
    }
    result.host_config = definition.host_config;
    for (std::string& link : shown_links(definition, core_.index)) {
        result.host_config.links.push_back(std::move(link));
    }
    result.graph_driver.name = result.driver;
    if (auto data = core_.store->layers().describe(definition.id); data.ok()) {
        result.graph_driver.data.insert(data->begin(), data->end());
    }
    result.mounts = mount_points(definition);
    result.network_settings = network_settings(view);
    if (size) {
        TRY(add_size(definition.id, result.size_rw, result.size_root_fs));
    }
    return result;
}

ContainerSummary ContainerReader::summarize(const ContainerView& view, bool size) const {
    const ContainerDefinition& definition = *view.definition;
    ContainerSummary summary;
    summary.id = definition.id;
    summary.name = "/" + definition.name;
    summary.image = definition.config.image;
    summary.image_id = definition.image_id;
    summary.command = command_text(definition);
    summary.created = definition.created;
    summary.state = view.life.state;
    summary.status = status_text(view.life.state, Timestamp::now());
    summary.ports = port_summaries(view);
    summary.labels = definition.config.labels;
    summary.network_mode = definition.host_config.network_mode;
    summary.annotations = definition.host_config.annotations;
    summary.networks = network_settings(view).networks;
    summary.mounts = mount_points(definition);
    if (size) {
        auto added = add_size(definition.id, summary.size_rw, summary.size_root_fs);
        if (!added.ok()) {
            log::debug("size unknown", {{"id", definition.id}});
        }
    }
    return summary;
}

Result<void> ContainerReader::list(const ListOptions& options, const SummarySink& sink) const {
    const ContainerFilter filter = TRY(ContainerFilter::create(core_, options));
    const std::vector<ContainerPtr> containers = core_.index.all();
    std::vector<ContainerView> views;
    views.reserve(containers.size());
    for (const ContainerPtr& container : containers) {
        ContainerView view = view_of(*container);
        if (filter.matches(view)) {
            views.push_back(std::move(view));
        }
    }
    std::vector<const ContainerView*> shown; // a view is larger than what sorting should move
    shown.reserve(views.size());
    std::ranges::transform(
        views, std::back_inserter(shown), [](const auto& view) { return &view; });
    std::ranges::sort(shown, std::ranges::greater(), [](const ContainerView* view) {
        return view->definition->created;
    });
    if (options.limit > 0 && shown.size() > static_cast<std::size_t>(options.limit)) {
        shown.resize(static_cast<std::size_t>(options.limit));
    }
    const std::multimap<std::string, std::string> names = link_names(core_.index);
    for (const ContainerView* view : shown) {
        ContainerSummary summary = summarize(*view, options.size);
        const auto [first, last] = names.equal_range(view->definition->id);
        for (auto name = first; name != last; ++name) {
            summary.link_names.push_back(name->second);
        }
        sink(std::move(summary));
    }
    return ok();
}

} // namespace berth::engine
