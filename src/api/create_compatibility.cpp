// SPDX-License-Identifier: Apache-2.0
// What older API versions mean by a container's configuration, turned into what today's mean.
// https://github.com/moby/moby/blob/v28.2.2/api/server/router/container/container_routes.go
#include "api/create_compatibility.h"

#include "base/strings.h"

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
            return invalid_argument("mount type \"image\" needs API v1.48 or newer");
        }
    }
    return ok();
}

void adapt_host_config(HostConfig& host, ApiVersion version) {
    if (version < ApiVersion{1, 25}) {
        host.auto_remove = false; // the client removed it then
    }
    if (version < ApiVersion{1, 40} && host.ipc_mode.empty()) {
        host.ipc_mode = "shareable";
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

// The container-wide MAC address became the endpoint's in 1.44.
Result<std::string> move_mac_address(engine::CreateRequest& request, ApiVersion version) {
    auto& endpoints = request.networking_config.endpoints_config;
    const std::string address = request.config.mac_address;
    const std::string& mode = request.host_config.network_mode;
    if (version < ApiVersion{1, 44} && address.empty()) {
        for (auto& [name, endpoint] : endpoints) {
            endpoint.mac_address.clear();
        }
        return std::string();
    }
    if (address.empty()) {
        return std::string();
    }
    if (!takes_mac_address(mode)) {
        return invalid_argument("conflicting options: mac-address and the network mode");
    }
    if (!endpoints.empty() && !endpoints.contains(mode) && version >= ApiVersion{1, 44}) {
        return invalid_argument(
            "unable to migrate container-wide MAC address to a specific network: "
            "HostConfig.NetworkMode must match the identity of a network in "
            "NetworkSettings.Networks");
    }
    auto& endpoint =
        endpoints.empty() || endpoints.contains(mode) ? endpoints[mode] : endpoints.begin()->second;
    if (version < ApiVersion{1, 44}) {
        endpoint.mac_address = address;
        return std::string();
    }
    if (!endpoint.mac_address.empty() && endpoint.mac_address != address) {
        return invalid_argument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the "
            "main network, or be left empty");
    }
    endpoint.mac_address = address;
    request.config.mac_address.clear();
    return "The container-wide MacAddress field is now deprecated. It should be specified in "
           "EndpointsConfig instead.";
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
    const auto& endpoints = request.networking_config.endpoints_config;
    if (endpoints.size() > 1 && version < ApiVersion{1, 44}) {
        std::vector<std::string> names;
        for (const auto& [name, endpoint] : endpoints) {
            names.push_back(name);
        }
        return invalid_argument(
            "Container cannot be created with multiple network endpoints: " + join(names, ", "));
    }
    std::vector<std::string> warnings;
    if (std::string warning = TRY(move_mac_address(request, version)); !warning.empty()) {
        warnings.push_back(std::move(warning));
    }
    return warnings;
}

} // namespace berth::api
