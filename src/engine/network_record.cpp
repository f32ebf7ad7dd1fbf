// SPDX-License-Identifier: Apache-2.0
// The table of networks. A definition is one JSON column: it is read as a whole or not at all.
#include "engine/network_record.h"

#include "base/log.h"
#include "base/random.h"
#include "engine/network_json.h"
#include "network/address_arithmetic.h"

namespace berth::engine {
namespace {

// What a user sees, and what only the engine knows.
struct NetworkRow {
    NetworkInspect network;
    bool chosen_v4 = false;
    bool chosen_v6 = false;
    bool gateway_of_subnet = false;
};

// Networks were once made with the subnet's first address as gateway, whatever the range was.
void keep_gateways(NetworkInspect& network) {
    if (network.config_only) {
        return; // nobody is in it
    }
    for (IpamPool& pool : network.ipam.config) {
        const auto subnet = kernel::IpPrefix::parse(pool.subnet);
        if (pool.gateway.empty() && !pool.ip_range.empty() && subnet.ok()) {
            pool.gateway = network::successor(subnet->network().address).to_string();
        }
    }
}

} // namespace
} // namespace berth::engine

namespace berth::json {

template <>
struct Fields<engine::NetworkRow> {
    using T = engine::NetworkRow;
    static constexpr auto table = std::tuple{
        embedded(&T::network),
        field("ChosenIPv4", &T::chosen_v4, OmitEmpty),
        field("ChosenIPv6", &T::chosen_v6, OmitEmpty),
        field("GatewayOfSubnet", &T::gateway_of_subnet, OmitEmpty)};
};

} // namespace berth::json

namespace berth::engine {
namespace {

constexpr std::string_view network_migrations[] = {
    "CREATE TABLE engine_networks (name TEXT PRIMARY KEY, id TEXT NOT NULL,"
    " created INTEGER NOT NULL, subnet TEXT NOT NULL)",
    "ALTER TABLE engine_networks ADD COLUMN definition TEXT NOT NULL DEFAULT ''",
    // The names of the API, which were others at first.
    "UPDATE engine_networks SET definition = json_set(definition, '$.IPAM', json_object("
    "'Driver', json_extract(definition, '$.IpamDriver'),"
    " 'Options', json_extract(definition, '$.IpamOptions'),"
    " 'Config', json_extract(definition, '$.IpamConfig')), '$.ConfigFrom', json_object("
    "'Network', coalesce(json_extract(definition, '$.ConfigFrom'), ''))) WHERE CASE definition"
    " WHEN '' THEN 0 ELSE json_type(definition, '$.IpamConfig') IS NOT NULL END",
    "UPDATE engine_networks SET definition = json_set(definition, '$.GatewayOfSubnet',"
    " json('true')) WHERE definition != ''"};

} // namespace

Result<NetworkTable> NetworkTable::open(store::Database& database) {
    TRY(database.migrate("engine_networks", network_migrations));
    return NetworkTable(database);
}

Result<std::vector<NetworkInspect>> NetworkTable::load() const {
    auto session = database_->session();
    auto statement = TRY(session.prepare(
        "SELECT name, definition FROM engine_networks WHERE definition != '' ORDER BY created"));
    std::vector<NetworkInspect> networks;
    while (TRY(statement.step())) {
        auto row = json::decode_text<NetworkRow>(statement.text(1));
        if (!row.ok()) {
            log::error(
                "network cannot be read from the database, ignoring",
                {{"name", statement.text(0)}, {"error", row.error().message()}});
            continue;
        }
        networks.push_back(std::move(row->network));
        networks.back().subnet_v4_is_chosen = row->chosen_v4;
        networks.back().subnet_v6_is_chosen = row->chosen_v6;
        if (row->gateway_of_subnet) {
            keep_gateways(networks.back());
        }
    }
    return networks;
}

Result<void> NetworkTable::insert(const NetworkInspect& network) {
    const std::string text = json::encode_text(
        NetworkRow{network, network.subnet_v4_is_chosen, network.subnet_v6_is_chosen});
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
