// SPDX-License-Identifier: Apache-2.0
// The networks that containers join: bridge (the default), host and none. Thread-safe, blocking.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "engine/container.h"
#include "engine/filters.h"

#include <map>
#include <string>
#include <vector>

namespace berth::engine {

struct IpamPool {
    std::string subnet;
    std::string ip_range;
    std::string gateway;
    StringMap aux_addresses;
};

struct NetworkEndpoint {
    std::string name; // the container's, without slash
    std::string endpoint_id;
    std::string mac_address;
    std::string ipv4_address; // with prefix length
    std::string ipv6_address;
};

struct NetworkInspect {
    std::string name;
    std::string id;
    Timestamp created;
    std::string scope = "local";
    std::string driver;
    bool enable_ipv4 = true;
    bool enable_ipv6 = false;
    std::string ipam_driver = "default";
    StringMap ipam_options;
    std::vector<IpamPool> ipam_config;
    bool internal = false;
    bool attachable = false;
    bool ingress = false;
    bool config_only = false;
    StringMap options;
    StringMap labels;
    std::map<std::string, NetworkEndpoint> containers; // by container id
};

struct NetworkCreate {
    std::string name;
    std::string driver;
    bool internal = false;
    bool attachable = false;
    bool enable_ipv6 = false;
    std::string ipam_driver;
    std::vector<IpamPool> ipam_config;
    StringMap options;
    StringMap labels;
};

struct NetworkPruneReport {
    std::vector<std::string> deleted;
};

class ContainerSupervisor;

class Networks {
  public:
    explicit Networks(ContainerSupervisor& supervisor)
        : supervisor_(supervisor) {}

    // Filters: dangling, driver, id, label, name, scope, type.
    Result<std::vector<NetworkInspect>> list(const Filters& filters) const;

    // By name, id or id prefix; NotFound "network x not found".
    Result<NetworkInspect> inspect(const std::string& network) const;

    // NotImplemented for now, all four: the default networks exist and stay.
    Result<std::string> create(const NetworkCreate& request);
    Result<void> remove(const std::string& network);
    Result<void> connect(
        const std::string& network, const std::string& container, const EndpointSettings& settings);
    Result<void> disconnect(const std::string& network, const std::string& container, bool force);

    // Removes nothing: the default networks are never pruned.
    Result<NetworkPruneReport> prune(const Filters& filters);

  private:
    ContainerSupervisor& supervisor_;
};

} // namespace berth::engine
