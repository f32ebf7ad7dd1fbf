// SPDX-License-Identifier: Apache-2.0
// Rows of steps cost nothing to lose, so nothing here waits for the disk.
#include "build/build_database.h"

#include <array>

namespace berth::build {

namespace {

constexpr std::array<std::string_view, 2> schema{
    R"sql(
CREATE TABLE build_steps (
    key TEXT PRIMARY KEY,
    image TEXT NOT NULL,
    used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE build_work (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
)sql",
    // Steps were images first; those stay where they are.
    R"sql(
DROP TABLE build_steps;
CREATE TABLE build_steps (
    key TEXT PRIMARY KEY,
    image TEXT NOT NULL,
    parent TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    has_layer INTEGER NOT NULL,
    config BLOB NOT NULL,
    description TEXT NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    uses INTEGER NOT NULL
) STRICT;
CREATE TABLE build_mounts (
    name TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    uses INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql"};

constexpr std::string_view step_columns =
    "SELECT key, image, parent, chain_id, has_layer, description, created, used, uses";

Result<oci::Digest> optional_digest(std::string_view text) {
    return text.empty() ? oci::Digest() : oci::Digest::parse(text);
}

Result<CachedStep> read_step(const store::Statement& row) {
    CachedStep step;
    step.key = row.text_copy(0);
    step.image = TRY(oci::Digest::parse(row.text(1)));
    step.parent = TRY(optional_digest(row.text(2)));
    step.chain_id = TRY(optional_digest(row.text(3)));
    step.has_layer = row.number(4) != 0;
    step.description = row.text_copy(5);
    step.created.nanoseconds = row.number(6);
    step.used.nanoseconds = row.number(7);
    step.uses = row.number(8);
    return step;
}

} // namespace

Result<BuildDatabase> BuildDatabase::open(store::Database& database) {
    TRY(database.migrate("build", schema));
    return BuildDatabase(database);
}

Result<std::optional<CachedStep>> BuildDatabase::find_step(const std::string& key) const {
    store::Session session = database_.session();
    auto statement = TRY(
        session.prepare(std::string(step_columns) + ", config FROM build_steps WHERE key = ?1"));
    const bool found = TRY(statement.bind(1, key).step());
    if (!found) {
        return std::optional<CachedStep>();
    }
    CachedStep step = TRY(read_step(statement));
    step.config_json = statement.text_copy(9);
    return std::optional(std::move(step));
}

Result<void> BuildDatabase::put_step(const CachedStep& step) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare(
            "INSERT OR REPLACE INTO build_steps (key, image, parent, chain_id, has_layer, config, "
            "description, created, used, uses) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"));
        TRY(statement.bind(1, step.key)
                .bind(2, step.image.to_string())
                .bind(3, step.parent.to_string())
                .bind(4, step.chain_id.to_string())
                .bind(5, std::int64_t{step.has_layer})
                .bind_blob(6, step.config_json)
                .bind(7, step.description)
                .bind(8, step.created.nanoseconds)
                .bind(9, step.used.nanoseconds)
                .bind(10, step.uses)
                .run());
    }
    return transaction.commit();
}

Result<void> BuildDatabase::use_step(const std::string& key) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare(
            "UPDATE build_steps SET used = ?2, uses = uses + 1 WHERE key = ?1"));
        TRY(statement.bind(1, key).bind(2, Timestamp::now().nanoseconds).run());
    }
    return transaction.commit();
}

Result<std::vector<CachedStep>> BuildDatabase::list_steps() const {
    store::Session session = database_.session();
    auto statement = TRY(
        session.prepare(std::string(step_columns) + " FROM build_steps ORDER BY used, created"));
    std::vector<CachedStep> steps;
    while (TRY(statement.step())) {
        steps.push_back(TRY(read_step(statement)));
    }
    return steps;
}

Result<void> BuildDatabase::remove_steps(const std::vector<std::string>& keys) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    for (const std::string& key : keys) {
        auto statement = TRY(transaction->prepare("DELETE FROM build_steps WHERE key = ?1"));
        TRY(statement.bind(1, key).run());
    }
    return transaction.commit();
}

Result<void>
BuildDatabase::use_mount(const std::string& name, const std::string& description) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare(
            "INSERT INTO build_mounts (name, description, created, used, uses) VALUES (?1, ?2, ?3, "
            "?3, 1) ON CONFLICT (name) DO UPDATE SET used = ?3, uses = uses + 1"));
        statement.bind(1, name).bind(2, description).bind(3, Timestamp::now().nanoseconds);
        TRY(statement.run());
    }
    return transaction.commit();
}

Result<std::vector<MountRow>> BuildDatabase::list_mounts() const {
    store::Session session = database_.session();
    auto statement = TRY(session.prepare(
        "SELECT name, description, created, used, uses FROM build_mounts ORDER BY name"));
    std::vector<MountRow> rows;
    while (TRY(statement.step())) {
        rows.push_back(
            {.name = statement.text_copy(0),
             .description = statement.text_copy(1),
             .created = {statement.number(2)},
             .used = {statement.number(3)},
             .uses = statement.number(4)});
    }
    return rows;
}

Result<void> BuildDatabase::remove_mount(const std::string& name) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare("DELETE FROM build_mounts WHERE name = ?1"));
        TRY(statement.bind(1, name).run());
    }
    return transaction.commit();
}

Result<void> BuildDatabase::add_work(const std::string& id) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare("INSERT INTO build_work (id) VALUES (?1)"));
        TRY(statement.bind(1, id).run());
    }
    return transaction.commit();
}

Result<void> BuildDatabase::remove_work(const std::string& id) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare("DELETE FROM build_work WHERE id = ?1"));
        TRY(statement.bind(1, id).run());
    }
    return transaction.commit();
}

Result<std::vector<std::string>> BuildDatabase::list_work() const {
    store::Session session = database_.session();
    auto statement = TRY(session.prepare("SELECT id FROM build_work ORDER BY id"));
    std::vector<std::string> ids;
    while (TRY(statement.step())) {
        ids.push_back(statement.text_copy(0));
    }
    return ids;
}

} // namespace berth::build
