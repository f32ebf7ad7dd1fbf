// SPDX-License-Identifier: Apache-2.0
// Rows of volumes, and of what plugins have mounted for whom.
#include "engine/volume_table.h"

#include "codec/json.h"

namespace berth::engine {
namespace {

constexpr std::string_view volume_migrations[] = {
    "CREATE TABLE engine_volumes (name TEXT PRIMARY KEY, created INTEGER NOT NULL,"
    " labels TEXT NOT NULL, options TEXT NOT NULL, anonymous INTEGER NOT NULL)",
    "ALTER TABLE engine_volumes ADD COLUMN driver TEXT NOT NULL DEFAULT 'local';"
    "ALTER TABLE engine_volumes ADD COLUMN scope TEXT NOT NULL DEFAULT 'local';"
    "ALTER TABLE engine_volumes ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE engine_volumes ADD COLUMN filling INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE engine_volume_mounts (volume TEXT NOT NULL, user TEXT NOT NULL,"
    " PRIMARY KEY (volume, user))"};

} // namespace

Result<VolumeTable> VolumeTable::open(store::Database& database) {
    TRY(database.migrate("engine_volumes", volume_migrations));
    return VolumeTable(database);
}

Result<std::vector<VolumeRow>> VolumeTable::load() const {
    auto session = database_->session();
    auto statement =
        TRY(session.prepare("SELECT name, created, labels, options, anonymous, driver, scope,"
                            " pending, filling FROM engine_volumes"));
    std::vector<VolumeRow> rows;
    while (TRY(statement.step())) {
        VolumeRow row;
        row.info.name = statement.text_copy(0);
        row.info.created.nanoseconds = statement.number(1);
        row.info.labels = TRY(json::decode_text<StringMap>(statement.text(2)));
        row.info.options = TRY(json::decode_text<StringMap>(statement.text(3)));
        row.info.anonymous = statement.number(4) != 0;
        row.info.driver = statement.text_copy(5);
        row.info.scope = statement.text_copy(6);
        row.pending = statement.number(7) != 0;
        row.filling = statement.number(8) != 0;
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<void> VolumeTable::insert(const VolumeRow& row) {
    const std::string labels = json::encode_text(row.info.labels);
    const std::string options = json::encode_text(row.info.options);
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(transaction->prepare(
            "INSERT INTO engine_volumes (name, created, labels, options, anonymous, driver, scope,"
            " pending, filling) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)"));
        TRY(statement.bind(1, row.info.name)
                .bind(2, row.info.created.nanoseconds)
                .bind(3, labels)
                .bind(4, options)
                .bind(5, std::int64_t{row.info.anonymous})
                .bind(6, row.info.driver)
                .bind(7, row.info.scope)
                .bind(8, std::int64_t{row.pending})
                .run());
    }
    return transaction.commit();
}

Result<void> VolumeTable::remove(const std::string& name) {
    auto transaction = TRY(database_->begin(store::Durability::Durable));
    {
        auto statement = TRY(transaction->prepare("DELETE FROM engine_volumes WHERE name = ?"));
        TRY(statement.bind(1, name).run());
    }
    return transaction.commit();
}

Result<void> VolumeTable::settle(const std::vector<std::string>& names) {
    auto transaction = TRY(database_->begin(store::Durability::Cache));
    for (const std::string& name : names) {
        auto statement =
            TRY(transaction->prepare("UPDATE engine_volumes SET pending = 0 WHERE name = ?"));
        TRY(statement.bind(1, name).run());
    }
    return transaction.commit();
}

// A power cut during a fill: as Docker, which knows no such mark at all.
Result<void> VolumeTable::set_filling(const std::string& name, bool filling) {
    auto transaction = TRY(database_->begin(store::Durability::Cache));
    {
        auto statement =
            TRY(transaction->prepare("UPDATE engine_volumes SET filling = ? WHERE name = ?"));
        TRY(statement.bind(1, std::int64_t{filling}).bind(2, name).run());
    }
    return transaction.commit();
}

Result<std::vector<VolumeTable::PluginMount>> VolumeTable::plugin_mounts() const {
    auto session = database_->session();
    auto statement = TRY(session.prepare("SELECT volume, user FROM engine_volume_mounts"));
    std::vector<PluginMount> mounts;
    while (TRY(statement.step())) {
        mounts.push_back({statement.text_copy(0), statement.text_copy(1)});
    }
    return mounts;
}

Result<void> VolumeTable::add_plugin_mount(const PluginMount& mount) {
    auto transaction = TRY(database_->begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare(
            "INSERT OR REPLACE INTO engine_volume_mounts (volume, user) VALUES (?, ?)"));
        TRY(statement.bind(1, mount.volume).bind(2, mount.user).run());
    }
    return transaction.commit();
}

Result<void> VolumeTable::remove_plugin_mount(const PluginMount& mount) {
    auto transaction = TRY(database_->begin(store::Durability::Cache));
    {
        auto statement = TRY(
            transaction->prepare("DELETE FROM engine_volume_mounts WHERE volume = ? AND user = ?"));
        TRY(statement.bind(1, mount.volume).bind(2, mount.user).run());
    }
    return transaction.commit();
}

} // namespace berth::engine
