// SPDX-License-Identifier: Apache-2.0
// Containers as the API writes them: create, inspect, list.
#include "api/wire/container.h"

#include "api/wire/empty_lists.h"
#include "base/strings.h"

#include <algorithm>
#include <array>
#include <utility>

namespace berth::api::wire {

namespace {

struct State {
    std::string status;
    bool running = false;
    bool paused = false;
    bool restarting = false;
    bool oom_killed = false;
    bool dead = false;
    std::int64_t pid = 0;
    std::int64_t exit_code = 0;
    std::string error;
    Timestamp started_at;
    Timestamp finished_at;
    std::optional<engine::Health> health;
};

// The address fields repeat those of the default bridge's endpoint.
struct NetworkSettings {
    std::string bridge;
    std::string sandbox_id;
    std::string sandbox_key;
    json::Value ports;
    bool hairpin_mode = false;
    std::string link_local_ipv6_address;
    std::int64_t link_local_ipv6_prefix_len = 0;
    json::Value secondary_ip_addresses;
    json::Value secondary_ipv6_addresses;
    std::string endpoint_id;
    std::string gateway;
    std::string global_ipv6_address;
    std::int64_t global_ipv6_prefix_len = 0;
    std::string ip_address;
    std::int64_t ip_prefix_len = 0;
    std::string ipv6_gateway;
    std::string mac_address;
    json::Raw networks;
};

struct ContainerInspect {
    std::string id;
    Timestamp created;
    std::string path;
    std::vector<std::string> args;
    State state;
    std::string image;
    std::string resolv_conf_path;
    std::string hostname_path;
    std::string hosts_path;
    std::string log_path;
    std::string name;
    std::int64_t restart_count = 0;
    std::string driver;
    std::string platform;
    std::string mount_label;
    std::string process_label;
    std::string app_armor_profile;
    std::vector<std::string> exec_ids;
    json::Value host_config;
    engine::GraphDriverData graph_driver;
    std::optional<std::int64_t> size_rw;
    std::optional<std::int64_t> size_root_fs;
    std::vector<engine::MountPoint> mounts;
    engine::ContainerConfig config;
    NetworkSettings network_settings;
};

struct SummaryHostConfig {
    std::string network_mode;
    engine::StringMap annotations;
};

struct SummaryNetworkSettings {
    json::Raw networks;
};

// Of an engine::Health, what a list tells.
struct SummaryHealth {
    std::string status = "none";
    std::int64_t failing_streak = 0;
};

struct ContainerSummary {
    std::string id;
    std::vector<std::string> names;
    std::string image;
    std::string image_id;
    std::string command;
    std::int64_t created = 0;
    std::vector<engine::PortSummary> ports;
    std::optional<std::int64_t> size_rw;
    std::optional<std::int64_t> size_root_fs;
    engine::StringMap labels;
    std::string state;
    std::string status;
    SummaryHostConfig host_config;
    SummaryNetworkSettings network_settings;
    std::vector<engine::MountPoint> mounts;
    std::optional<SummaryHealth> health; // since 1.52
};

} // namespace

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<api::wire::State> {
    using T = api::wire::State;
    static constexpr auto table = std::tuple{
        field("Status", &T::status),
        field("Running", &T::running),
        field("Paused", &T::paused),
        field("Restarting", &T::restarting),
        field("OOMKilled", &T::oom_killed),
        field("Dead", &T::dead),
        field("Pid", &T::pid),
        field("ExitCode", &T::exit_code),
        field("Error", &T::error),
        field("StartedAt", &T::started_at),
        field("FinishedAt", &T::finished_at),
        field("Health", &T::health, OmitEmpty)};
};

template <>
struct Fields<api::wire::NetworkSettings> {
    using T = api::wire::NetworkSettings;
    static constexpr auto table = std::tuple{
        field("Bridge", &T::bridge),
        field("SandboxID", &T::sandbox_id),
        field("SandboxKey", &T::sandbox_key),
        field("Ports", &T::ports),
        field("HairpinMode", &T::hairpin_mode),
        field("LinkLocalIPv6Address", &T::link_local_ipv6_address),
        field("LinkLocalIPv6PrefixLen", &T::link_local_ipv6_prefix_len),
        field("SecondaryIPAddresses", &T::secondary_ip_addresses),
        field("SecondaryIPv6Addresses", &T::secondary_ipv6_addresses),
        field("EndpointID", &T::endpoint_id),
        field("Gateway", &T::gateway),
        field("GlobalIPv6Address", &T::global_ipv6_address),
        field("GlobalIPv6PrefixLen", &T::global_ipv6_prefix_len),
        field("IPAddress", &T::ip_address),
        field("IPPrefixLen", &T::ip_prefix_len),
        field("IPv6Gateway", &T::ipv6_gateway),
        field("MacAddress", &T::mac_address),
        field("Networks", &T::networks)};
};

template <>
struct Fields<api::wire::ContainerInspect> {
    using T = api::wire::ContainerInspect;
    static constexpr auto table = std::tuple{
        field("Id", &T::id),
        field("Created", &T::created),
        field("Path", &T::path),
        field("Args", &T::args),
        field("State", &T::state),
        field("Image", &T::image),
        field("ResolvConfPath", &T::resolv_conf_path),
        field("HostnamePath", &T::hostname_path),
        field("HostsPath", &T::hosts_path),
        field("LogPath", &T::log_path),
        field("Name", &T::name),
        field("RestartCount", &T::restart_count),
        field("Driver", &T::driver),
        field("Platform", &T::platform),
        field("MountLabel", &T::mount_label),
        field("ProcessLabel", &T::process_label),
        field("AppArmorProfile", &T::app_armor_profile),
        field("ExecIDs", &T::exec_ids, NullWhenEmpty),
        field("HostConfig", &T::host_config),
        field("GraphDriver", &T::graph_driver),
        field("SizeRw", &T::size_rw, OmitEmpty),
        field("SizeRootFs", &T::size_root_fs, OmitEmpty),
        field("Mounts", &T::mounts),
        field("Config", &T::config),
        field("NetworkSettings", &T::network_settings)};
};

template <>
struct Fields<api::wire::SummaryHostConfig> {
    using T = api::wire::SummaryHostConfig;
    static constexpr auto table = std::tuple{
        field("NetworkMode", &T::network_mode, OmitEmpty),
        field("Annotations", &T::annotations, OmitEmpty)};
};

template <>
struct Fields<api::wire::SummaryNetworkSettings> {
    using T = api::wire::SummaryNetworkSettings;
    static constexpr auto table = std::tuple{field("Networks", &T::networks)};
};

template <>
struct Fields<api::wire::SummaryHealth> {
    using T = api::wire::SummaryHealth;
    static constexpr auto table =
        std::tuple{field("Status", &T::status), field("FailingStreak", &T::failing_streak)};
};

template <>
struct Fields<api::wire::ContainerSummary> {
    using T = api::wire::ContainerSummary;
    static constexpr auto table = std::tuple{
        field("Id", &T::id),
        field("Names", &T::names),
        field("Image", &T::image),
        field("ImageID", &T::image_id),
        field("Command", &T::command),
        field("Created", &T::created),
        field("Ports", &T::ports),
        field("SizeRw", &T::size_rw, OmitEmpty),
        field("SizeRootFs", &T::size_root_fs, OmitEmpty),
        field("Labels", &T::labels),
        field("State", &T::state),
        field("Status", &T::status),
        field("HostConfig", &T::host_config),
        field("NetworkSettings", &T::network_settings),
        field("Mounts", &T::mounts),
        field("Health", &T::health, OmitEmpty)};
};

} // namespace berth::json

namespace berth::api::wire {

namespace {

using engine::ContainerStatus;

State state_of(const engine::ContainerState& state) {
    return {
        .status = std::string(engine::to_string(state.status)),
        .running = state.is_running() || state.status == ContainerStatus::Restarting,
        .paused = state.status == ContainerStatus::Paused,
        .restarting = state.status == ContainerStatus::Restarting,
        .oom_killed = state.oom_killed,
        .dead = state.status == ContainerStatus::Dead,
        .pid = state.pid,
        .exit_code = state.exit_code,
        .error = state.error,
        .started_at = state.started_at,
        .finished_at = state.finished_at,
        .health = state.health,
    };
}

// The endpoint whose addresses stand at the top of NetworkSettings: the default bridge's.
engine::EndpointSettings default_endpoint(const engine::NetworkSettings& settings) {
    const auto found = settings.networks.find("bridge");
    return found == settings.networks.end() ? engine::EndpointSettings() : found->second;
}

NetworkSettings settings_of(const engine::NetworkSettings& settings, ApiVersion version) {
    const engine::EndpointSettings endpoint = default_endpoint(settings);
    NetworkSettings wire;
    wire.sandbox_id = settings.sandbox_id;
    wire.sandbox_key = settings.sandbox_key;
    wire.ports = encode_ports(settings.ports);
    wire.endpoint_id = endpoint.endpoint_id;
    wire.gateway = endpoint.gateway;
    wire.global_ipv6_address = endpoint.global_ipv6_address;
    wire.global_ipv6_prefix_len = endpoint.global_ipv6_prefix_len;
    wire.ip_address = endpoint.ip_address;
    wire.ip_prefix_len = endpoint.ip_prefix_len;
    wire.ipv6_gateway = endpoint.ipv6_gateway;
    wire.mac_address = endpoint.mac_address;
    wire.networks = encode_networks(settings.networks, version);
    return wire;
}

// Since 1.52 an inspect has nothing any more that said the same twice.
void drop_old_members(json::Object& container) {
    json::Object& settings = container["NetworkSettings"].as_object();
    for (const char* name :
         {"Bridge",
          "HairpinMode",
          "LinkLocalIPv6Address",
          "LinkLocalIPv6PrefixLen",
          "SecondaryIPAddresses",
          "SecondaryIPv6Addresses",
          "EndpointID",
          "Gateway",
          "GlobalIPv6Address",
          "GlobalIPv6PrefixLen",
          "IPAddress",
          "IPPrefixLen",
          "IPv6Gateway",
          "MacAddress"}) {
        settings.erase(name);
    }
    json::Object& config = container["Config"].as_object();
    config.erase("MacAddress");
    if (config["OnBuild"].is_null()) {
        config.erase("OnBuild");
    }
}

// Before 1.45 the names that a container has by itself stood among its aliases.
void add_own_aliases(
    std::map<std::string, engine::EndpointSettings>& networks,
    const engine::ContainerInspect& container) {
    for (auto& [name, endpoint] : networks) {
        if (name == "bridge" || name == "host" || name == "none") {
            continue;
        }
        for (const std::string& alias : {container.id.substr(0, 12), container.config.hostname}) {
            if (std::find(endpoint.aliases.begin(), endpoint.aliases.end(), alias) ==
                endpoint.aliases.end()) {
                endpoint.aliases.push_back(alias);
            }
        }
    }
}

std::optional<SummaryHealth> health_of(const engine::ContainerState& state, ApiVersion version) {
    if (version < ApiVersion{1, 52}) {
        return std::nullopt;
    }
    return state.health ? SummaryHealth{state.health->status, state.health->failing_streak}
                        : SummaryHealth();
}

} // namespace

void widen_string_lists(json::Value& document) {
    if (!document.is_object()) {
        return;
    }
    for (auto& member : document.get_object()) {
        const bool is_list = equals_ignoring_case(member.key(), "Cmd") ||
                             equals_ignoring_case(member.key(), "Entrypoint");
        if (is_list && member.value().is_string()) {
            json::Value text = std::move(member.value());
            member.value() = json::Array{std::move(text)};
        }
    }
}

json::Value encode_ports(const engine::PortMap& ports) {
    json::Object object;
    for (const auto& [port, bindings] : ports) {
        // An exposed port that is not published.
        object[port] = bindings.empty() ? json::Value(nullptr) : json::encode(bindings);
    }
    return object;
}

json::Raw encode_networks(
    const std::map<std::string, engine::EndpointSettings>& networks, ApiVersion version) {
    constexpr auto newer = std::to_array<std::string_view>({"GwPriority", "DNSNames"});
    const std::size_t unknown = version < ApiVersion{1, 44}   ? 2
                                : version < ApiVersion{1, 48} ? 1
                                                              : 0;
    json::Raw result{""};
    char before = '{';
    for (const auto& [name, endpoint] : networks) {
        result.text += std::exchange(before, ',');
        json::append_text(result.text, name);
        result.text += ':';
        json::append_text_without(result.text, endpoint, std::span(newer).first(unknown));
    }
    result.text += before == '{' ? "{}" : "}";
    return result;
}

json::Value encode_inspect(const engine::ContainerInspect& container, ApiVersion version) {
    engine::NetworkSettings network_settings = container.network_settings;
    if (version < ApiVersion{1, 45}) {
        add_own_aliases(network_settings.networks, container);
    }
    const ContainerInspect wire{
        .id = container.id,
        .created = container.created,
        .path = container.path,
        .args = container.args,
        .state = state_of(container.state),
        .image = container.image_id,
        .resolv_conf_path = container.resolv_conf_path,
        .hostname_path = container.hostname_path,
        .hosts_path = container.hosts_path,
        .log_path = container.log_path,
        .name = container.name,
        .restart_count = container.restart_count,
        .driver = container.driver,
        .platform = container.platform,
        .mount_label = container.mount_label,
        .process_label = container.process_label,
        .app_armor_profile = container.app_armor_profile,
        .exec_ids = container.exec_ids,
        .host_config = json::encode(container.host_config),
        .graph_driver = container.graph_driver,
        .size_rw = container.size_rw,
        .size_root_fs = container.size_root_fs,
        .mounts = container.mounts,
        .config = container.config,
        .network_settings = settings_of(network_settings, version),
    };
    json::Value encoded = json::encode(wire);
    show_empty_lists(
        encoded.at("Config").as_object(),
        encoded.at("HostConfig").as_object(),
        container.host_config.empty_lists);
    if (version >= ApiVersion{1, 52}) {
        drop_old_members(encoded.as_object());
    }
    return encoded;
}

namespace {

// Go's omitempty: a list, unlike an inspect, says nothing of nothing.
std::optional<std::int64_t> unless_zero(std::optional<std::int64_t> size) {
    return size.value_or(0) == 0 ? std::nullopt : size;
}

ContainerSummary summary_of(engine::ContainerSummary container, ApiVersion version) {
    std::vector<std::string> names = std::move(container.link_names);
    names.insert(names.begin(), std::move(container.name));
    return {
        .id = std::move(container.id),
        .names = std::move(names),
        .image = std::move(container.image),
        .image_id = std::move(container.image_id),
        .command = std::move(container.command),
        .created = container.created.seconds(),
        .ports = std::move(container.ports),
        .size_rw = unless_zero(container.size_rw),
        .size_root_fs = unless_zero(container.size_root_fs),
        .labels = std::move(container.labels),
        .state = std::string(engine::to_string(container.state.status)),
        .status = std::move(container.status),
        .host_config =
            {.network_mode = std::move(container.network_mode),
             .annotations = version < ApiVersion{1, 46} ? engine::StringMap()
                                                        : std::move(container.annotations)},
        .network_settings = {.networks = encode_networks(container.networks, version)},
        .mounts = std::move(container.mounts),
        .health = health_of(container.state, version),
    };
}

} // namespace

json::Value encode_summary(const engine::ContainerSummary& container, ApiVersion version) {
    return json::encode(summary_of(container, version));
}

void append_summary(std::string& text, engine::ContainerSummary container, ApiVersion version) {
    json::append_text(text, summary_of(std::move(container), version));
}

} // namespace berth::api::wire
