// SPDX-License-Identifier: Apache-2.0
// Rows of steps cost nothing to lose, so nothing here waits for the disk.
#include "build/build_database.h"

#include "base/time.h"

#include <array>

namespace berth::build {

namespace {

constexpr std::array<std::string_view, 1> schema{R"sql(
CREATE TABLE build_steps (
    key TEXT PRIMARY KEY,
    image TEXT NOT NULL,
    used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE build_work (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
)sql"};

} // namespace

Result<BuildDatabase> BuildDatabase::open(store::Database& database) {
    TRY(database.migrate("build", schema));
    return BuildDatabase(database);
}

Result<std::optional<oci::Digest>> BuildDatabase::find_step(const std::string& key) const {
    store::Session session = database_.session();
    auto statement = TRY(session.prepare("SELECT image FROM build_steps WHERE key = ?1"));
    const bool found = TRY(statement.bind(1, key).step());
    if (!found) {
        return std::optional<oci::Digest>();
    }
    return std::optional(TRY(oci::Digest::parse(statement.text(0))));
}

Result<void> BuildDatabase::put_step(const std::string& key, const oci::Digest& image) const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    {
        auto statement = TRY(transaction->prepare(
            "INSERT OR REPLACE INTO build_steps (key, image, used) VALUES (?1, ?2, ?3)"));
        statement.bind(1, key).bind(2, image.to_string()).bind(3, Timestamp::now().nanoseconds);
        TRY(statement.run());
    }
    return transaction.commit();
}

Result<std::uint64_t> BuildDatabase::forget_steps() const {
    auto transaction = TRY(database_.begin(store::Durability::Cache));
    TRY(transaction->execute("DELETE FROM build_steps"));
    const auto count = static_cast<std::uint64_t>(transaction->changed_rows());
    TRY(transaction.commit());
    return count;
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
