// SPDX-License-Identifier: Apache-2.0
// Which hosts serve a registry's images and how each is reached: mirrors first, the registry itself
// last. From daemon.json's registry-mirrors and insecure-registries and from the folders of
// containerd (hosts.toml) and of Docker (*.crt, *.cert, *.key).
#pragma once

#include "base/result.h"
#include "registry/address.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

struct HostsOptions {
    std::vector<std::string> insecure_registries; // "host", "host:port" or a CIDR
    std::vector<std::string> mirrors;             // URLs, for docker.io
    // Each with a folder a registry: "registry.example:5000", "registry.example_5000_", "_default".
    std::vector<std::string> directories{"/etc/berth/certs.d", "/etc/docker/certs.d"};
};

struct RegistryHost {
    std::vector<ApiBase> bases; // tried in this order until one answers
    bool is_registry = true;    // false: a mirror, which gets no credentials
    bool can_resolve = true;    // tags may be asked for
    bool can_pull = true;
    bool can_push = true;
};

// In the order in which they are to be tried; never empty. An unreadable file is an error that
// names it: leaving out a CA or a mirror silently would be worse.
Result<std::vector<RegistryHost>>
registry_hosts(std::string_view registry, const HostsOptions& options);

// Where pushes go, and what is asked about the registry itself.
const RegistryHost& push_host(std::span<const RegistryHost> hosts);

// --- The parts; internal to this library ---

// What one file says of the hosts, `registry` itself last.
Result<std::vector<RegistryHost>>
read_hosts_file(const std::string& path, std::string_view registry);

// The *.crt, *.cert and *.key of Docker's folder; null when there are none.
Result<std::shared_ptr<const TlsMaterial>> read_certificates(const std::string& folder);

} // namespace berth::registry
