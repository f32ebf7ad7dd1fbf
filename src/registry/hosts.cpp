// SPDX-License-Identifier: Apache-2.0
// A hosts.toml decides everything about its registry; Docker's certificates are for one that has
// none.
#include "registry/hosts.h"

#include "base/file.h"
#include "base/strings.h"

#include <algorithm>
#include <array>
#include <optional>

namespace berth::registry {

namespace {

// containerd's core/remotes/docker/config, hostDirectories()
std::vector<std::string> folder_names(std::string_view registry) {
    std::vector<std::string> names{std::string(registry)};
    if (std::optional<Cut> port = cut_last(registry, ":")) {
        names.push_back(std::string(port->before) + "_" + std::string(port->after) + "_");
    }
    if (registry == "docker.io") {
        names.emplace_back("index.docker.io");
        names.emplace_back("registry-1.docker.io");
    }
    return names;
}

// The file of the first folder that has one; a `_default` counts only when no folder is the
// registry's own.
std::optional<std::string> find_hosts_file(std::string_view registry, const HostsOptions& options) {
    const std::array<std::vector<std::string>, 2> rounds{
        folder_names(registry), std::vector<std::string>{"_default"}};
    for (const std::vector<std::string>& wanted : rounds) {
        for (const std::string& directory : options.directories) {
            for (const std::string& name : wanted) {
                std::string path = directory + "/" + name + "/hosts.toml";
                if (exists(path)) {
                    return path;
                }
            }
        }
    }
    return std::nullopt;
}

Result<std::shared_ptr<const TlsMaterial>>
find_certificates(std::string_view registry, const HostsOptions& options) {
    for (const std::string& directory : options.directories) {
        for (const std::string& name : folder_names(registry)) {
            if (auto found = TRY(read_certificates(directory + "/" + name))) {
                return found;
            }
        }
    }
    return std::shared_ptr<const TlsMaterial>();
}

// The registry or a dockerd mirror: https, and for insecure ones http too.
Result<RegistryHost> plain_host(std::string_view registry, const HostsOptions& options) {
    RegistryHost host{.bases = api_bases(registry, options.insecure_registries)};
    auto certificates = TRY(find_certificates(registry, options));
    for (ApiBase& base : host.bases) {
        base.tls = certificates;
    }
    return host;
}

// "https://mirror.example/" and "mirror.example:5000" alike.
Result<RegistryHost> mirror_host(std::string_view mirror, const HostsOptions& options) {
    bool plain = mirror.starts_with("http://");
    std::optional<Cut> parts = cut(mirror, "://");
    std::string_view address = parts ? parts->after : mirror;
    address = address.substr(0, address.find('/'));
    RegistryHost host = TRY(plain_host(address, options));
    if (plain) {
        host.bases = {{.url = "http://" + std::string(address), .verify = VerifyTls::No}};
    }
    host.is_registry = false;
    host.can_push = false;
    return host;
}

} // namespace

Result<std::shared_ptr<const TlsMaterial>> read_certificates(const std::string& folder) {
    if (!exists(folder)) {
        return std::shared_ptr<const TlsMaterial>();
    }
    auto found = std::make_shared<TlsMaterial>();
    for (const std::string& name : TRY(list_directory(folder))) {
        std::string path = folder + "/" + name;
        if (name.ends_with(".crt")) {
            found->authorities += TRY(read_file(path)) + "\n";
        } else if (name.ends_with(".cert") && found->certificate_file.empty()) {
            std::string key = name.substr(0, name.size() - 5) + ".key";
            if (!exists(folder + "/" + key)) {
                return invalid_argument(
                    "missing key " + key + " for client certificate " + name + " in " + folder +
                    ". CA certificates must use the extension .crt");
            }
            found->certificate_file = path;
            found->key_file = folder + "/" + key;
        } else if (name.ends_with(".key")) {
            std::string certificate = name.substr(0, name.size() - 4) + ".cert";
            if (!exists(folder + "/" + certificate)) {
                return invalid_argument(
                    "missing client certificate " + certificate + " for key " + name + " in " +
                    folder);
            }
        }
    }
    if (found->authorities.empty() && found->certificate_file.empty()) {
        return std::shared_ptr<const TlsMaterial>();
    }
    return std::shared_ptr<const TlsMaterial>(found);
}

Result<std::vector<RegistryHost>>
registry_hosts(std::string_view registry, const HostsOptions& options) {
    std::vector<RegistryHost> hosts;
    if (registry == "docker.io") {
        for (const std::string& mirror : options.mirrors) {
            hosts.push_back(TRY(mirror_host(mirror, options)));
        }
    }
    if (std::optional<std::string> path = find_hosts_file(registry, options)) {
        for (RegistryHost& host : TRY(read_hosts_file(*path, registry))) {
            hosts.push_back(std::move(host));
        }
        return hosts;
    }
    hosts.push_back(TRY(plain_host(registry, options)));
    return hosts;
}

const RegistryHost& push_host(std::span<const RegistryHost> hosts) {
    auto found = std::ranges::find_if(hosts, &RegistryHost::can_push);
    return found != hosts.end() ? *found : hosts.back();
}

} // namespace berth::registry
