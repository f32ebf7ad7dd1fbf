// SPDX-License-Identifier: Apache-2.0
// SQLite as owned objects: one connection in WAL mode, shared by threads through sessions. Prepared
// statements are cached by their text. Each user (store, engine, build) keeps its own tables and
// brings its own migrations.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace berth::store {

class Database;

// A prepared statement with its parameters. Parameters count from 1, columns from 0, as SQLite
// counts them. Used by one thread, within its session.
class Statement {
  public:
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;
    ~Statement();

    // Each bind returns the statement, so that binds chain; an error surfaces in step().
    Statement& bind(int index, std::string_view text);

    Statement& bind(int index, const char* text) { return bind(index, std::string_view(text)); }

    Statement& bind(int index, std::int64_t number);
    Statement& bind_blob(int index, std::string_view bytes);
    Statement& bind_null(int index);

    // text, or NULL when it is empty.
    Statement& bind_optional(int index, std::string_view text);

    // True when there is a row to read, false when the statement is done.
    Result<bool> step();
    // For statements without rows.
    Result<void> run();

    // Empty for NULL. The view is good until the next step().
    std::string_view text(int column) const;

    std::string text_copy(int column) const { return std::string(text(column)); }

    std::int64_t number(int column) const;
    bool is_null(int column) const;

  private:
    friend class Session;
    Statement(Database& database, sqlite3_stmt* statement, std::string sql);

    Database* database_;
    sqlite3_stmt* statement_;
    std::string sql_;
    int bind_error_ = 0;
};

// Cache: lost at a power cut together with what it describes (never torn). Durable: synced before
// commit() returns. Both survive a killed process.
enum class Durability : std::uint8_t { Cache, Durable };

// Exclusive use of the connection. Keep it short: no input or output but SQL while it lives. A
// thread must not open a second session inside its first.
class Session {
  public:
    Result<Statement> prepare(std::string_view sql);
    // One or more statements without parameters or rows.
    Result<void> execute(const std::string& sql);
    std::int64_t changed_rows() const;
    std::int64_t last_row_id() const;

  private:
    friend class Database;
    friend class Transaction;
    explicit Session(Database& database);

    Database* database_;
    std::unique_lock<std::mutex> lock_;
};

// A session in a transaction; rolled back unless committed.
class Transaction {
  public:
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    Session& session() { return session_; }

    Session* operator->() { return &session_; }

    // Others may use the database while this waits for the disk.
    Result<void> commit();

  private:
    friend class Database;

    Transaction(Session session, Durability durability)
        : session_(std::move(session))
        , durability_(durability) {}

    Session session_;
    Durability durability_;
    bool open_ = true;
};

// Thread-safe.
class Database {
  public:
    // Creates the file when absent (mode 0600). DataLoss when it is no database.
    static Result<std::unique_ptr<Database>> open(const std::string& path);
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database();

    Session session() { return Session(*this); }

    Result<Transaction> begin(Durability durability);

    // Brings the tables of one component ("store", "engine", …) to the newest version: steps[i] is
    // the SQL from version i to i + 1, each applied once, in one transaction. A database that a
    // newer program has written is a Conflict.
    Result<void> migrate(std::string_view component, std::span<const std::string_view> steps);

    // In place of fdatasync(2) of the log. REQUIRES: nobody commits.
    void set_log_sync_for_test(std::function<int(int fd)> sync) {
        log_sync_.sync = std::move(sync);
    }

  private:
    friend class Statement;
    friend class Session;
    friend class Transaction;

    Database(sqlite3* connection, std::string path)
        : connection_(connection)
        , path_(std::move(path)) {}

    Error error(std::string_view what, int code) const;
    Result<void> sync_log();
    Result<void> sync_log_file();
    Result<void> settle_log();

    struct LogSync {
        // One sync, and those whose commits it is for.
        struct Round {
            std::optional<Result<void>> result;
        };

        std::mutex mutex;
        std::condition_variable changed;
        std::shared_ptr<Round> next = std::make_shared<Round>(); // of those who commit now
        bool under_way = false;
        bool is_doubtful = false; // the last sync has failed; of the one who syncs
        std::function<int(int fd)> sync = ::fdatasync;
    };

    sqlite3* connection_;
    std::string path_;
    UniqueFd log_;
    LogSync log_sync_;
    std::mutex mutex_;
    std::map<std::string, sqlite3_stmt*, std::less<>> idle_statements_;
};

} // namespace berth::store
