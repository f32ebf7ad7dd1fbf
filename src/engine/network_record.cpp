// SPDX-License-Identifier: Apache-2.0
// The table of networks. A definition is one JSON column: it is read as a whole or not at all.
#include "engine/network_record.h"

#include "base/log.h"
#include "base/random.h"
#include "engine/network_json.h"

namespace berth::json {

template <>
struct Fields<engine::NetworkInspect> {
    using T = engine::NetworkInspect;
    static constexpr auto table = std::tuple{
        field("Name", &T::name),
        field("Id", &T::id),
        field("Created", &T::created),
        field("Scope", &T::scope),
        field("Driver", &T::driver),
        field("EnableIPv4", &T::enable_ipv4),
        field("EnableIPv6", &T::enable_ipv6),
        field("IpamDriver", &T::ipam_driver),
        field("IpamOptions", &T::ipam_options, OmitEmpty),
        field("IpamConfig", &T::ipam_config),
        field("ChosenIPv4", &T::subnet_v4_is_chosen, OmitEmpty),
        field("ChosenIPv6", &T::subnet_v6_is_chosen, OmitEmpty),
        field("Internal", &T::internal, OmitEmpty),
        field("Attachable", &T::attachable, OmitEmpty),
        field("Ingress", &T::ingress, OmitEmpty),
        field("ConfigFrom", &T::config_from, OmitEmpty),
        field("ConfigOnly", &T::config_only, OmitEmpty),
        field("Options", &T::options),
        field("Labels", &T::labels)};
};

} // namespace berth::json

namespace berth::engine {
namespace {

constexpr std::string_view migrations[] = {
    "CREATE TABLE engine_networks (name TEXT PRIMARY KEY, id TEXT NOT NULL,"
    " created INTEGER NOT NULL, subnet TEXT NOT NULL)",
    "ALTER TABLE engine_networks ADD COLUMN definition TEXT NOT NULL DEFAULT ''"};

} // namespace

Result<NetworkTable> NetworkTable::open(store::Database& database) {
    TRY(database.migrate("engine_networks", migrations));
    return NetworkTable(database);
}

Result<std::vector<NetworkInspect>> NetworkTable::load() const {
    auto session = database_->session();
    auto statement = TRY(session.prepare(
        "SELECT name, definition FROM engine_networks WHERE definition != '' ORDER BY created"));
    std::vector<NetworkInspect> networks;
    while (TRY(statement.step())) {
        auto network = json::decode_text<NetworkInspect>(statement.text(1));
        if (!network.ok()) {
            log::error(
                "network cannot be read from the database, ignoring",
                {{"name", statement.text(0)}, {"error", network.error().message()}});
            continue;
        }
        networks.push_back(std::move(network).value());
    }
    return networks;
}

Result<void> NetworkTable::insert(const NetworkInspect& network) {
    const std::string text = json::encode_text(network);
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(transaction->prepare(
            "INSERT INTO engine_networks (name, id, created, subnet, definition)"
            " VALUES (?, ?, ?, '', ?)"));
        TRY(statement.bind(1, network.name)
                .bind(2, network.id)
                .bind(3, network.created.nanoseconds)
                .bind(4, text)
                .run());
    }
    return transaction.commit();
}

Result<void> NetworkTable::remove(const std::string& name) {
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(transaction->prepare("DELETE FROM engine_networks WHERE name = ?"));
        TRY(statement.bind(1, name).run());
    }
    return transaction.commit();
}

Result<void> NetworkTable::load_predefined(NetworkInspect& network) {
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto select =
            TRY(transaction->prepare("SELECT id, created FROM engine_networks WHERE name = ?"));
        if (TRY(select.bind(1, network.name).step())) {
            network.id = select.text_copy(0);
            network.created.nanoseconds = select.number(1);
        } else {
            network.id = random_hex(32);
            network.created = Timestamp::now();
            auto insert = TRY(transaction->prepare(
                "INSERT INTO engine_networks (name, id, created, subnet) VALUES (?, ?, ?, '')"));
            TRY(insert.bind(1, network.name)
                    .bind(2, network.id)
                    .bind(3, network.created.nanoseconds)
                    .run());
        }
    }
    return transaction.commit();
}

Result<std::string> NetworkTable::bridge_subnet() const {
    auto session = database_->session();
    auto statement =
        TRY(session.prepare("SELECT subnet FROM engine_networks WHERE name = 'bridge'"));
    return TRY(statement.step()) ? statement.text_copy(0) : std::string();
}

Result<void> NetworkTable::set_bridge_subnet(const std::string& subnet) {
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(
            transaction->prepare("UPDATE engine_networks SET subnet = ? WHERE name = 'bridge'"));
        TRY(statement.bind(1, subnet).run());
    }
    return transaction.commit();
}

} // namespace berth::engine
