// SPDX-License-Identifier: Apache-2.0
// Definition and life as JSON columns: they are read as a whole or not at all.
#include "engine/container_record.h"

#include "base/log.h"
#include "engine/container_config_json.h"

namespace berth::json {

template <>
struct Codec<engine::ContainerStatus> {
    static Result<engine::ContainerStatus> decode(const Value& value) {
        const std::string text = TRY(json::decode<std::string>(value));
        if (auto status = engine::parse_container_status(text)) {
            return *status;
        }
        return invalid_argument("\"" + text + "\" is no container status");
    }

    static Value encode(const engine::ContainerStatus& status) {
        return Value(engine::to_string(status));
    }

    static bool is_empty(const engine::ContainerStatus&) { return false; }
};

template <>
struct Fields<engine::HealthResult> {
    using T = engine::HealthResult;
    static constexpr auto table = std::tuple{
        field("Start", &T::start),
        field("End", &T::end),
        field("ExitCode", &T::exit_code),
        field("Output", &T::output)};
};

template <>
struct Fields<engine::Health> {
    using T = engine::Health;
    static constexpr auto table = std::tuple{
        field("Status", &T::status),
        field("FailingStreak", &T::failing_streak),
        field("Log", &T::log)};
};

template <>
struct Fields<engine::ContainerState> {
    using T = engine::ContainerState;
    static constexpr auto table = std::tuple{
        field("Status", &T::status),
        field("OOMKilled", &T::oom_killed, OmitEmpty),
        field("Pid", &T::pid, OmitEmpty),
        field("ExitCode", &T::exit_code),
        field("Error", &T::error, OmitEmpty),
        field("StartedAt", &T::started_at),
        field("FinishedAt", &T::finished_at),
        field("Health", &T::health, OmitEmpty)};
};

template <>
struct Fields<engine::MountPoint> {
    using T = engine::MountPoint;
    static constexpr auto table = std::tuple{
        field("Type", &T::type),
        field("Name", &T::name, OmitEmpty),
        field("Source", &T::source),
        field("Destination", &T::destination),
        field("Driver", &T::driver, OmitEmpty),
        field("Mode", &T::mode),
        field("RW", &T::read_write),
        field("Propagation", &T::propagation)};
};

template <>
struct Codec<engine::MountOwner> {
    static Result<engine::MountOwner> decode(const Value& value) {
        return engine::parse_mount_owner(TRY(json::decode<std::string>(value)));
    }

    static Value encode(const engine::MountOwner& owner) { return Value(to_string(owner)); }

    static bool is_empty(const engine::MountOwner& owner) {
        return owner == engine::MountOwner::AsIs;
    }
};

template <>
struct Fields<engine::PlannedMount> {
    using T = engine::PlannedMount;
    static constexpr auto table = std::tuple{
        field("Point", &T::point),
        field("Anonymous", &T::anonymous, OmitEmpty),
        field("Recursive", &T::recursive),
        field("ReadOnlyRecursive", &T::read_only_recursive),
        field("ForceReadOnlyRecursive", &T::force_read_only_recursive, OmitEmpty),
        field("Subpath", &T::subpath, OmitEmpty),
        field("Layer", &T::layer, OmitEmpty),
        field("Owner", &T::owner, OmitEmpty),
        field("SelinuxLabel", &T::selinux_label, OmitEmpty),
        field("InTransit", &T::in_transit, OmitEmpty),
        field("TmpfsOptions", &T::tmpfs_options, OmitEmpty)};
};

template <>
struct Fields<engine::PublishedPort> {
    using T = engine::PublishedPort;
    static constexpr auto table = std::tuple{
        field("Protocol", &T::protocol),
        field("ContainerPort", &T::container_port),
        field("HostIp", &T::host_ip),
        field("HostPort", &T::host_port)};
};

template <>
struct Fields<engine::EndpointState> {
    using T = engine::EndpointState;
    static constexpr auto table = std::tuple{
        field("Network", &T::network),
        field("Id", &T::id),
        field("Ip", &T::ip),
        field("PrefixLength", &T::prefix_length),
        field("Gateway", &T::gateway),
        field("Mac", &T::mac),
        field("HostInterface", &T::host_interface),
        field("Ports", &T::ports),
        field("NetworkId", &T::network_id, OmitEmpty),
        field("IpV6", &T::ip_v6, OmitEmpty),
        field("PrefixLengthV6", &T::prefix_length_v6, OmitEmpty),
        field("GatewayV6", &T::gateway_v6, OmitEmpty),
        field("Interface", &T::interface_name, OmitEmpty),
        field("DnsServers", &T::dns_servers, OmitEmpty),
        field("DnsSearch", &T::dns_search, OmitEmpty),
        field("DnsOptions", &T::dns_options, OmitEmpty)};
};

template <>
struct Fields<engine::ContainerLife> {
    using T = engine::ContainerLife;
    static constexpr auto table = std::tuple{
        field("State", &T::state),
        field("RestartCount", &T::restart_count, OmitEmpty),
        field("StoppedByUser", &T::stopped_by_user, OmitEmpty),
        field("FrozenForWork", &T::frozen_for_work, OmitEmpty),
        field("Endpoints", &T::endpoints, OmitEmpty),
        field("UidMap", &T::uid_map, OmitEmpty),
        field("GidMap", &T::gid_map, OmitEmpty)};
};

template <>
struct Fields<engine::ContainerLink> {
    using T = engine::ContainerLink;
    static constexpr auto table =
        std::tuple{field("Id", &T::id), field("Name", &T::name), field("Alias", &T::alias)};
};

template <>
struct Fields<engine::ContainerDefinition> {
    using T = engine::ContainerDefinition;
    static constexpr auto table = std::tuple{
        field("Id", &T::id),
        field("Name", &T::name),
        field("Created", &T::created),
        field("ImageId", &T::image_id),
        field("ChainId", &T::chain_id),
        field("Path", &T::path),
        field("Args", &T::arguments),
        field("Config", &T::config),
        field("HostConfig", &T::host_config),
        field("Networking", &T::networking),
        field("Mounts", &T::mounts),
        field("Links", &T::links, OmitEmpty),
        field("ProcessLabel", &T::process_label, OmitEmpty),
        field("MountLabel", &T::mount_label, OmitEmpty)};
};

} // namespace berth::json

namespace berth::engine {
namespace {

constexpr std::string_view container_migrations[] = {
    "CREATE TABLE engine_containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " definition TEXT NOT NULL, life TEXT NOT NULL)",
    // Engines before networks of users named no endpoint, or "default", for the one network that
    // there was, and the only interface was always the same.
    "UPDATE engine_containers SET definition = json_set(definition, '$.Networking.EndpointsConfig',"
    " json_object(json_extract(definition, '$.HostConfig.NetworkMode'), json(coalesce("
    "json_extract(definition, '$.Networking.EndpointsConfig.default'), '{}'))))"
    " WHERE json_extract(definition, '$.HostConfig.NetworkMode') NOT LIKE 'container:%'"
    " AND (coalesce(json_extract(definition, '$.Networking.EndpointsConfig'), '{}') = '{}'"
    " OR json_type(definition, '$.Networking.EndpointsConfig.default') = 'object')",
    "UPDATE engine_containers SET life = json_set(life, '$.Endpoints[0].Interface', 'eth0')"
    " WHERE json_type(life, '$.Endpoints[0]') = 'object'"
    " AND json_type(life, '$.Endpoints[0].Interface') IS NULL"
    " AND json_extract(life, '$.Endpoints[0].HostInterface') != ''",
    // Links were kept as an inspect shows them: "/db:/web/alias".
    "UPDATE engine_containers SET definition = json_set(definition, '$.Links', json((SELECT"
    " json_group_array(json_object('Name', substr(value, 2, instr(value, ':') - 2), 'Alias',"
    " replace(value, rtrim(value, replace(value, '/', '')), '')))"
    " FROM json_each(definition, '$.HostConfig.Links'))), '$.HostConfig.Links', json('null'))"
    " WHERE json_extract(definition, '$.HostConfig.NetworkMode') IN ('bridge', 'default')"
    " AND json_type(definition, '$.HostConfig.Links') = 'array'"};

} // namespace

Result<ContainerTable> ContainerTable::open(store::Database& database) {
    TRY(database.migrate("engine_containers", container_migrations));
    return ContainerTable(database);
}

// Durable: a container that `docker create` named must not vanish at a power cut. All that follows
// is known from the monitor, or moot after a power cut, and rides along with a later sync.
Result<void>
ContainerTable::insert(const ContainerDefinition& definition, const ContainerLife& life) {
    const std::string definition_text = json::encode_text(definition);
    const std::string life_text = json::encode_text(life);
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(transaction->prepare(
            "INSERT INTO engine_containers (id, name, definition, life) VALUES (?, ?, ?, ?)"));
        TRY(statement.bind(1, definition.id)
                .bind(2, definition.name)
                .bind(3, definition_text)
                .bind(4, life_text)
                .run());
    }
    return transaction.commit();
}

Result<void> ContainerTable::update_definition(const ContainerDefinition& definition) {
    const std::string text = json::encode_text(definition);
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(transaction->prepare(
            "UPDATE engine_containers SET name = ?, definition = ? WHERE id = ?"));
        TRY(statement.bind(1, definition.name).bind(2, text).bind(3, definition.id).run());
    }
    return transaction.commit();
}

Result<void>
ContainerTable::update(const ContainerDefinition& definition, const ContainerLife& life) {
    const std::string definition_text = json::encode_text(definition);
    const std::string life_text = json::encode_text(life);
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(transaction->prepare(
            "UPDATE engine_containers SET definition = ?, life = ? WHERE id = ?"));
        TRY(statement.bind(1, definition_text).bind(2, life_text).bind(3, definition.id).run());
    }
    return transaction.commit();
}

Result<void> ContainerTable::update_life(
    const std::string& id, const ContainerLife& life, store::Durability durability) {
    const std::string text = json::encode_text(life);
    auto transaction = TRY(database_->begin(durability));
    {
        auto statement =
            TRY(transaction->prepare("UPDATE engine_containers SET life = ? WHERE id = ?"));
        TRY(statement.bind(1, text).bind(2, id).run());
    }
    return transaction.commit();
}

Result<void> ContainerTable::remove(const std::string& id) {
    auto transaction = TRY(database_->begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare("DELETE FROM engine_containers WHERE id = ?"));
        TRY(statement.bind(1, id).run());
    }
    return transaction.commit();
}

Result<std::vector<ContainerRecord>> ContainerTable::load() const {
    auto session = database_->session();
    auto statement = TRY(session.prepare("SELECT id, definition, life FROM engine_containers"));
    std::vector<ContainerRecord> records;
    while (TRY(statement.step())) {
        auto definition = json::decode_text<ContainerDefinition>(statement.text(1));
        auto life = json::decode_text<ContainerLife>(statement.text(2));
        if (!definition.ok() || !life.ok()) {
            const Error& error = definition.ok() ? life.error() : definition.error();
            log::error(
                "container cannot be read from the database, ignoring",
                {{"id", statement.text(0)}, {"error", error.message()}});
            continue;
        }
        records.push_back(
            {std::make_shared<const ContainerDefinition>(std::move(definition).value()),
             std::move(life).value()});
    }
    return records;
}

} // namespace berth::engine
