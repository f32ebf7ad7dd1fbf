// SPDX-License-Identifier: Apache-2.0
// A container as the database keeps it: a definition, which only rename and update change, and a
// life, which changes with every start and exit. docs/formats/engine-tables.md.
#pragma once

#include "base/result.h"
#include "engine/container.h"
#include "engine/mount_plan.h"
#include "store/database.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace berth::engine {

// --link on the default bridge: `alias` stands for another container.
struct ContainerLink {
    std::string id;   // the other's; whoever has its name takes its place once it is gone
    std::string name; // without slash, when the link was made
    std::string alias;
};

struct ContainerDefinition {
    std::string id;
    std::string name; // without slash
    Timestamp created;
    std::string image_id;
    std::string chain_id;
    std::string path;
    std::vector<std::string> arguments;
    ContainerConfig config;
    HostConfig host_config;
    NetworkingConfig networking;
    std::vector<PlannedMount> mounts;
    std::vector<ContainerLink> links{};
    std::string process_label{}; // of SELinux; these two: empty without
    std::string mount_label{};
};

struct PublishedPort {
    std::string protocol;
    std::uint16_t container_port = 0;
    std::string host_ip;
    std::uint16_t host_port = 0;
};

// The place in a network while the container runs.
struct EndpointState {
    std::string network; // its name
    std::string id;
    std::string ip;
    std::int64_t prefix_length = 0;
    std::string gateway;
    std::string mac;
    std::string host_interface;
    std::vector<PublishedPort> ports;
    std::string network_id{};
    std::string ip_v6{}; // these three: empty and 0 without IPv6, as ip and gateway without IPv4
    std::int64_t prefix_length_v6 = 0;
    std::string gateway_v6{};
    std::string interface_name{}; // within the container
    // What a CNI network says of resolvers.
    std::vector<std::string> dns_servers{};
    std::vector<std::string> dns_search{};
    std::vector<std::string> dns_options{};
};

struct ContainerLife {
    ContainerState state;
    std::int64_t restart_count = 0;
    bool stopped_by_user = false;
    // Paused by the engine for the time of some work on its files: an engine that starts resumes
    // it.
    bool frozen_for_work = false;
    std::vector<EndpointState> endpoints;
    // Of its user namespace while it runs, as /proc/<pid>/uid_map has them; empty without one.
    std::string uid_map{};
    std::string gid_map{};
};

struct ContainerRecord {
    std::shared_ptr<const ContainerDefinition> definition;
    ContainerLife life;
};

// The table of containers. Thread-safe as the database is.
class ContainerTable {
  public:
    static Result<ContainerTable> open(store::Database& database);

    // Conflict without words when the name is taken.
    Result<void> insert(const ContainerDefinition& definition, const ContainerLife& life);
    Result<void> update_definition(const ContainerDefinition& definition);
    // Both at once, or neither.
    Result<void> update(const ContainerDefinition& definition, const ContainerLife& life);
    Result<void>
    update_life(const std::string& id, const ContainerLife& life, store::Durability durability);
    Result<void> remove(const std::string& id);
    Result<std::vector<ContainerRecord>> load() const;

  private:
    explicit ContainerTable(store::Database& database)
        : database_(&database) {}

    store::Database* database_;
};

} // namespace berth::engine
