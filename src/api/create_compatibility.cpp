// SPDX-License-Identifier: Apache-2.0
// What older API versions mean by a container's configuration, turned into what today's mean.
// https://github.com/moby/moby/blob/v28.2.2/api/server/router/container/container_routes.go
#include "api/create_compatibility.h"

#include "base/strings.h"
#include "kernel/cgroup.h"

#include <optional>
#include <utility>

namespace berth::api {

namespace {

using engine::HostConfig;
using engine::Mount;

void drop_newer_mount_options(Mount& mount, ApiVersion version) {
    if (mount.bind_options && version < ApiVersion{1, 40}) {
        mount.bind_options->non_recursive = false;
    }
    if (version >= ApiVersion{1, 42}) {
        return;
    }
    // These were not checked then, and clients do send them.
    if (mount.bind_options) {
        mount.bind_options->create_mountpoint = false;
    }
    if (mount.type != "volume") {
        mount.volume_options.reset();
    }
    if (mount.type != "tmpfs") {
        mount.tmpfs_options.reset();
    }
}

Result<void> check_mount_options(const Mount& mount) {
    const auto misplaced = [&mount](std::string_view options) {
        return invalid_argument(
            std::string(options) + " must not be specified on mount type \"" + mount.type + "\"");
    };
    if (mount.volume_options && mount.type != "volume") {
        return misplaced("VolumeOptions");
    }
    if (mount.bind_options && mount.type != "bind") {
        return misplaced("BindOptions");
    }
    if (mount.tmpfs_options && mount.type != "tmpfs") {
        return misplaced("TmpfsOptions");
    }
    if (mount.image_options && mount.type != "image") {
        return misplaced("ImageOptions");
    }
    return ok();
}

Result<void> adapt_mounts(HostConfig& host, ApiVersion version) {
    for (Mount& mount : host.mounts) {
        drop_newer_mount_options(mount, version);
        if (version >= ApiVersion{1, 42}) {
            TRY(check_mount_options(mount));
        }
        if (mount.bind_options && mount.type == "bind" && version < ApiVersion{1, 44}) {
            if (mount.bind_options->read_only_force_recursive) {
                return invalid_argument(
                    "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
            }
            mount.bind_options->read_only_non_recursive = true;
        }
        if (mount.volume_options && !mount.volume_options->subpath.empty() &&
            version < ApiVersion{1, 45}) {
            return invalid_argument("VolumeOptions.Subpath needs API v1.45 or newer");
        }
        if (mount.type == "image" && version < ApiVersion{1, 48}) {
            return invalid_argument("Mount type \"Image\" needs API v1.48 or newer");
        }
    }
    return ok();
}

bool has_cgroup_v2_alone() {
    const auto layout = kernel::cgroup_layout();
    return layout.ok() && (*layout)->mode == kernel::CgroupMode::Version2;
}

void adapt_host_config(HostConfig& host, ApiVersion version) {
    if (version < ApiVersion{1, 25}) {
        host.auto_remove = false; // the client removed it then
    }
    if (version < ApiVersion{1, 40} && host.ipc_mode.empty()) {
        host.ipc_mode = "shareable";
    }
    if (version < ApiVersion{1, 41} && host.cgroupns_mode.empty() && !has_cgroup_v2_alone()) {
        host.cgroupns_mode = "host";
    }
    if (version < ApiVersion{1, 42}) {
        host.console_size = {};
    }
    if (version < ApiVersion{1, 43}) {
        host.annotations.clear();
    }
    // 0 and anything negative stand for "unlimited".
    if (host.pids_limit && *host.pids_limit <= 0) {
        host.pids_limit.reset();
    }
}

bool takes_mac_address(const std::string& mode) {
    return mode != "host" && mode != "none" && !mode.starts_with("container:");
}

// The endpoint that settings of the whole container are meant for: that of its network mode, which
// is made where there is none. nullptr: there are others only.
engine::EndpointSettings* main_endpoint(engine::CreateRequest& request, ApiVersion version) {
    auto& endpoints = request.networking_config.endpoints_config;
    const std::string& mode = request.host_config.network_mode;
    if (endpoints.empty() || endpoints.contains(mode)) {
        return &endpoints[mode];
    }
    return version < ApiVersion{1, 44} ? &endpoints.begin()->second : nullptr;
}

constexpr std::string_view no_main_endpoint =
    "HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks";

// The container-wide MAC address became the endpoint's in 1.44, and is not looked at since 1.52.
Result<std::string> move_mac_address(engine::CreateRequest& request, ApiVersion version) {
    if (version >= ApiVersion{1, 52}) {
        request.config.mac_address.clear();
    }
    const std::string address = request.config.mac_address;
    if (address.empty()) {
        if (version < ApiVersion{1, 44}) {
            for (auto& [name, endpoint] : request.networking_config.endpoints_config) {
                endpoint.mac_address.clear();
            }
        }
        return std::string();
    }
    if (!takes_mac_address(request.host_config.network_mode)) {
        return invalid_argument("conflicting options: mac-address and the network mode");
    }
    engine::EndpointSettings* endpoint = main_endpoint(request, version);
    if (endpoint == nullptr) {
        return invalid_argument(
            "unable to migrate container-wide MAC address to a specific network: " +
            std::string(no_main_endpoint));
    }
    if (version < ApiVersion{1, 44}) {
        endpoint->mac_address = address;
        return std::string();
    }
    if (!endpoint->mac_address.empty() && endpoint->mac_address != address) {
        return invalid_argument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the "
            "main network, or be left empty");
    }
    endpoint->mac_address = address;
    request.config.mac_address.clear();
    return "The container-wide MacAddress field is now deprecated. It should be specified in "
           "EndpointsConfig instead.";
}

// "net.<family>.conf.ethN.<name>": what an interface is set to. nullopt: any other name.
struct InterfaceSysctl {
    std::string interface;
    std::string setting; // with IFNAME in its place, and the value
};

std::optional<InterfaceSysctl> interface_sysctl(const std::string& name, const std::string& value) {
    const auto parts = split(name, '.');
    if (parts.size() < 5 || parts[0] != "net" || !parts[3].starts_with("eth")) {
        return std::nullopt;
    }
    const auto behind = static_cast<std::size_t>(parts[4].data() - name.data());
    return InterfaceSysctl{
        .interface = std::string(parts[3]),
        .setting = "net." + std::string(parts[1]) + "." + std::string(parts[2]) + ".IFNAME." +
                   name.substr(behind) + "=" + value};
}

// An interface's sysctls became options of its endpoint in 1.46, and must be since 1.48.
Result<std::string> move_sysctls(engine::CreateRequest& request, ApiVersion version) {
    static constexpr std::string_view option = "com.docker.network.endpoint.sysctls";
    HostConfig& host = request.host_config;
    if (host.network_mode == "host" || host.network_mode.starts_with("container:")) {
        return std::string();
    }
    std::vector<std::string> names;
    std::vector<std::string> settings;
    for (const auto& [name, value] : host.sysctls) {
        const auto found = interface_sysctl(name, value);
        if (!found) {
            continue;
        }
        if (version >= ApiVersion{1, 48}) {
            return invalid_argument(
                "interface specific sysctl setting \"" + name +
                "\" must be supplied using driver option '" + std::string(option) + "'");
        }
        if (found->interface != "eth0") {
            return invalid_argument(
                "unable to determine network endpoint for sysctl " + name +
                ", use driver option '" + std::string(option) + "' to set per-interface sysctls");
        }
        names.push_back(name);
        settings.push_back(found->setting);
    }
    if (names.empty()) {
        return std::string();
    }
    engine::EndpointSettings* endpoint = main_endpoint(request, version);
    if (endpoint == nullptr) {
        return invalid_argument(
            "unable to find a network for sysctl " + names[0] + ": " +
            std::string(no_main_endpoint));
    }
    const std::string moved = join(settings, ",");
    // What the endpoint says itself comes later and so has the last word.
    std::string& all = endpoint->driver_opts[std::string(option)];
    all = all.empty() ? moved : moved + "," + all;
    for (const std::string& name : names) {
        host.sysctls.erase(name);
    }
    return "Migrated sysctl \"" + join(names, ",") + "\" to DriverOpts{\"" + std::string(option) +
           "\":\"" + moved + "\"}.";
}

// A port with an empty list of bindings is published on any port of the host.
std::string fill_port_bindings(HostConfig& host, ApiVersion version) {
    std::vector<std::string> filled;
    for (auto& [port, bindings] : host.port_bindings) {
        if (bindings.empty()) {
            bindings.emplace_back();
            filled.push_back(port);
        }
    }
    if (filled.empty() || version < ApiVersion{1, 52}) {
        return {};
    }
    return "Following container port(s) have an empty list of port-bindings: " +
           join(filled, ", ") + ". Such bindings will be discarded in a future version.";
}

// The command line warned of this itself before 1.48.
std::string driver_warning(const HostConfig& host, ApiVersion version) {
    if (host.volume_driver.empty() || version < ApiVersion{1, 48}) {
        return {};
    }
    for (const Mount& mount : host.mounts) {
        const bool names_driver = mount.volume_options && mount.volume_options->driver_config &&
                                  !mount.volume_options->driver_config->name.empty();
        if (mount.type == "volume" && !names_driver) {
            return "WARNING: the container-wide volume-driver configuration is ignored for volumes "
                   "specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead";
        }
    }
    return {};
}

// "default" is how a client names the platform's own default network.
void name_default_network(engine::CreateRequest& request) {
    std::string& mode = request.host_config.network_mode;
    if (!mode.empty() && mode != "default") {
        return;
    }
    mode = "bridge";
    auto& endpoints = request.networking_config.endpoints_config;
    if (const auto found = endpoints.find("default"); found != endpoints.end()) {
        auto endpoint = std::move(found->second);
        endpoints.erase(found);
        endpoints[mode] = std::move(endpoint);
    }
}

} // namespace

Result<std::vector<std::string>>
adapt_to_version(engine::CreateRequest& request, ApiVersion version) {
    name_default_network(request);
    adapt_host_config(request.host_config, version);
    TRY(adapt_mounts(request.host_config, version));
    if (request.config.healthcheck && version < ApiVersion{1, 44}) {
        request.config.healthcheck->start_interval = 0;
    }
    auto& endpoints = request.networking_config.endpoints_config;
    if (version < ApiVersion{1, 48}) {
        for (auto& [name, endpoint] : endpoints) {
            endpoint.gw_priority = 0;
        }
    }
    if (endpoints.size() > 1 && version < ApiVersion{1, 44}) {
        std::vector<std::string> names;
        for (const auto& [name, endpoint] : endpoints) {
            names.push_back(name);
        }
        return invalid_argument(
            "Container cannot be created with multiple network endpoints: " + join(names, ", "));
    }
    std::vector<std::string> warnings{driver_warning(request.host_config, version)};
    warnings.push_back(TRY(move_mac_address(request, version)));
    warnings.push_back(TRY(move_sysctls(request, version)));
    warnings.push_back(fill_port_bindings(request.host_config, version));
    std::erase(warnings, "");
    return warnings;
}

} // namespace berth::api
