// SPDX-License-Identifier: Apache-2.0
// The networks that containers join: bridge (the default), host, none, and what users make.
// Thread-safe, blocking.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "engine/container.h"
#include "engine/filters.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

struct IpamPool {
    std::string subnet;
    std::string ip_range;
    std::string gateway;
    StringMap aux_addresses;
};

struct Ipam {
    std::string driver = "default";
    std::optional<StringMap> options;
    std::vector<IpamPool> config;
};

struct ConfigFrom {
    std::string network; // a config-only one's name; empty: none
};

struct NetworkEndpoint {
    std::string container_id;
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
    Ipam ipam;
    // By the engine and not by the user: no static addresses in it.
    bool subnet_v4_is_chosen = false;
    bool subnet_v6_is_chosen = false;
    bool internal = false;
    bool attachable = false;
    bool ingress = false;
    ConfigFrom config_from;
    bool config_only = false;
    StringMap options;
    StringMap labels;
    std::map<std::string, NetworkEndpoint> containers; // by container id
};

struct NetworkCreate {
    std::string name;
    std::string driver; // "": bridge
    std::string scope;  // "" or local
    bool internal = false;
    bool attachable = false;
    bool ingress = false;
    bool config_only = false;
    std::optional<ConfigFrom> config_from;
    std::optional<bool> enable_ipv4; // true
    std::optional<bool> enable_ipv6; // false
    std::optional<Ipam> ipam;
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

    // The id. Conflict for a name that is taken; Forbidden, in Docker's words, for predefined names
    // and subnets that overlap.
    Result<std::string> create(const NetworkCreate& request);
    // Forbidden while containers are connected, and for the predefined ones.
    Result<void> remove(const std::string& network);
    // Of containers that run and of such that do not.
    Result<void> connect(
        const std::string& network, const std::string& container, const EndpointSettings& settings);
    Result<void> disconnect(const std::string& network, const std::string& container, bool force);

    // Filters: label, label!, until. Removes the users' networks that no running container is in.
    Result<NetworkPruneReport> prune(const Filters& filters);

  private:
    void publish(const NetworkInspect& network, const std::string& action);
    std::vector<NetworkEndpoint> endpoints_in(const NetworkInspect& network) const;

    ContainerSupervisor& supervisor_;
};

} // namespace berth::engine
