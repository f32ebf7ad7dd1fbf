// SPDX-License-Identifier: Apache-2.0
// SQLite as owned objects. The pragmas and why: WAL lets a reader of the file (a backup) run beside
// us, NORMAL syncs at checkpoints only; foreign keys are off by default.
//
// A durable commit is one that is in the log when the log is synced. SQLite's own way (synchronous
// = FULL) syncs with the connection in use, so that everybody waits for everybody's sync, one after
// the other. Here the log is synced behind the commit and without the connection, once for all who
// have committed by then.
//
// A full disk must not take away the means to make room: removing a container is a transaction. So
// the log keeps its full size, reserved on disk: it is reused from its start, never deleted, and
// grows only past a failed checkpoint.
#include "store/database.h"

#include "base/file.h"
#include "base/log.h"
#include "base/verify.h"

#include <sqlite3.h>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace berth::store {

namespace {

// SQLite's message belongs to the connection; read it while the session holds it.
Error sqlite_error(sqlite3* connection, std::string_view what, int code) {
    std::string text = "database: " + std::string(what) + ": " + sqlite3_errstr(code);
    if (connection != nullptr && sqlite3_errcode(connection) == code) {
        text += std::string(" (") + sqlite3_errmsg(connection) + ")";
    }
    switch (code & 0xff) {
    case SQLITE_FULL:
        return {ErrorKind::ResourceExhausted, text + ": no space left on device"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return {ErrorKind::DataLoss, text};
    case SQLITE_CONSTRAINT:
        return conflict(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return {ErrorKind::Unavailable, text};
    default:
        return internal_error(text);
    }
}

// A few hundred distinct statements exist in the whole engine; a bound all the same.
constexpr std::size_t idle_statement_limit = 256;
// A bit more than the 1000 pages after which SQLite writes the log back.
constexpr off_t log_size = 4U << 20;
// Of its index, for some four times as many pages.
constexpr off_t index_size = 32U << 10;

enum class Locking : std::uint8_t {
    Shared,
    // The log's index lies in memory: where there is no room for its file.
    Exclusive,
};

Result<sqlite3*> connect(const std::string& path, Locking locking) {
    sqlite3* connection = nullptr;
    int code = sqlite3_open_v2(
        path.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(connection, 5000);
        std::string pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                              "PRAGMA foreign_keys = ON; PRAGMA cache_size = -1024;"
                              "PRAGMA journal_size_limit = " +
                              std::to_string(log_size) + ";SELECT 1 FROM sqlite_schema;";
        if (locking == Locking::Exclusive) {
            pragmas = "PRAGMA locking_mode = EXCLUSIVE;" + pragmas;
        }
        code = sqlite3_exec(connection, pragmas.c_str(), nullptr, nullptr, nullptr);
    }
    if (code != SQLITE_OK) {
        Error error = sqlite_error(connection, "open " + path, code);
        sqlite3_close(connection);
        return error;
    }
    return connection;
}

// Best effort: without the reserve all works but on a full disk.
void reserve(const std::string& path, off_t size) {
    Result<UniqueFd> file = open_file(path, O_RDWR);
    if (!file.ok()) {
        return;
    }
    if (int failed = posix_fallocate(file->get(), 0, size); failed != 0) {
        log::debug("no room reserved for metadata", {{"file", path}, {"errno", failed}});
    }
}

void reserve_log(const std::string& path) {
    reserve(path + "-wal", log_size);
}

// The log's index is mapped, and SQLite makes room for it by one byte in each page: where blocks
// are smaller than pages and the disk is full, the rest of the page is a SIGBUS. So its file is
// there only where it can be whole.
bool has_room_for_index(const std::string& path) {
    struct statvfs status {};

    return statvfs(path.c_str(), &status) != 0 ||
           status.f_bavail * status.f_frsize >= std::uint64_t{2} * index_size;
}

} // namespace

Statement::Statement(Database& database, sqlite3_stmt* statement, std::string sql)
    : database_(&database)
    , statement_(statement)
    , sql_(std::move(sql)) {}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_)
    , statement_(std::exchange(other.statement_, nullptr))
    , sql_(std::move(other.sql_))
    , bind_error_(other.bind_error_) {}

Statement::~Statement() {
    if (statement_ == nullptr) {
        return;
    }
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
    auto& idle = database_->idle_statements_;
    if (idle.size() >= idle_statement_limit || !idle.emplace(std::move(sql_), statement_).second) {
        sqlite3_finalize(statement_);
    }
}

Statement& Statement::bind(int index, std::string_view text) {
    // A null pointer would bind NULL where an empty string is meant.
    const char* bytes = text.data() != nullptr ? text.data() : "";
    bind_error_ |=
        sqlite3_bind_text64(statement_, index, bytes, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
}

Statement& Statement::bind(int index, std::int64_t number) {
    bind_error_ |= sqlite3_bind_int64(statement_, index, number);
    return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
    const char* data = bytes.data() != nullptr ? bytes.data() : "";
    bind_error_ |= sqlite3_bind_blob64(statement_, index, data, bytes.size(), SQLITE_TRANSIENT);
    return *this;
}

Statement& Statement::bind_null(int index) {
    bind_error_ |= sqlite3_bind_null(statement_, index);
    return *this;
}

Statement& Statement::bind_optional(int index, std::string_view text) {
    return text.empty() ? bind_null(index) : bind(index, text);
}

Result<bool> Statement::step() {
    if (bind_error_ != SQLITE_OK) {
        return internal_error("database: a parameter could not be bound: " + sql_);
    }
    int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) {
        return true;
    }
    if (code == SQLITE_DONE) {
        return false;
    }
    return database_->error(sql_, code);
}

Result<void> Statement::run() {
    TRY(step());
    sqlite3_reset(statement_);
    return ok();
}

std::string_view Statement::text(int column) const {
    const void* bytes = sqlite3_column_blob(statement_, column);
    if (bytes == nullptr) {
        return {};
    }
    return {
        static_cast<const char*>(bytes),
        static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::int64_t Statement::number(int column) const {
    return sqlite3_column_int64(statement_, column);
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Session::Session(Database& database)
    : database_(&database)
    , lock_(database.mutex_) {}

Result<Statement> Session::prepare(std::string_view sql) {
    auto found = database_->idle_statements_.find(sql);
    if (found != database_->idle_statements_.end()) {
        auto node = database_->idle_statements_.extract(found);
        return Statement(*database_, node.mapped(), std::move(node.key()));
    }
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v3(
        database_->connection_,
        sql.data(),
        static_cast<int>(sql.size()),
        SQLITE_PREPARE_PERSISTENT,
        &statement,
        nullptr);
    if (code != SQLITE_OK) {
        return database_->error(sql, code);
    }
    return Statement(*database_, statement, std::string(sql));
}

Result<void> Session::execute(const std::string& sql) {
    int code = sqlite3_exec(database_->connection_, sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
        return database_->error(sql, code);
    }
    return ok();
}

std::int64_t Session::changed_rows() const {
    return sqlite3_changes64(database_->connection_);
}

std::int64_t Session::last_row_id() const {
    return sqlite3_last_insert_rowid(database_->connection_);
}

Transaction::Transaction(Transaction&& other) noexcept
    : session_(std::move(other.session_))
    , durability_(other.durability_)
    , open_(std::exchange(other.open_, false)) {}

Transaction::~Transaction() {
    if (open_) {
        // The rollback of a transaction that SQLite has rolled back itself (disk full) fails, and
        // that is fine.
        (void)session_.execute("ROLLBACK");
    }
}

Result<void> Transaction::commit() {
    TRY(session_.execute("COMMIT"));
    open_ = false;
    if (durability_ == Durability::Cache) {
        return ok();
    }
    session_.lock_.unlock();
    Result<void> synced = session_.database_->sync_log();
    session_.lock_.lock(); // statements may still have to be given back
    return synced;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
    // SQLite makes the file with the process's umask; it holds environment variables of containers,
    // so nobody else may read it. The -wal and -shm files take its mode.
    TRY(open_file(path, O_RDWR | O_CREAT, 0600));
    const bool shared = has_room_for_index(path);
    Result<sqlite3*> connection = connect(path, shared ? Locking::Shared : Locking::Exclusive);
    if (shared && !connection.ok() && connection.error().kind() != ErrorKind::DataLoss) {
        connection = connect(path, Locking::Exclusive);
    }
    sqlite3* opened = TRY(std::move(connection));
    if (shared) {
        reserve(path + "-shm", index_size);
    }
    std::unique_ptr<Database> database(new Database(opened, path));
    database->log_ = TRY(open_file(path + "-wal", O_RDWR));
    reserve_log(path);
    return database;
}

Database::~Database() {
    for (auto& [sql, statement] : idle_statements_) {
        sqlite3_finalize(statement);
    }
    // Closing would delete the log, and with it the reserve. Emptied, it is quickly read at the
    // next start.
    sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_wal_checkpoint_v2(connection_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    sqlite3_close(connection_);
    reserve_log(path_);
}

Error Database::error(std::string_view what, int code) const {
    return sqlite_error(connection_, what, code);
}

Result<Transaction> Database::begin(Durability durability) {
    Session own = session();
    TRY(own.execute("BEGIN IMMEDIATE"));
    return Transaction(std::move(own), durability);
}

// Who comes first syncs for all whose commits are in the log by then; the others wait for him. What
// became of it is all of theirs: a later sync may succeed without what this one has lost.
Result<void> Database::sync_log() {
    std::unique_lock lock(log_sync_.mutex);
    const std::shared_ptr<LogSync::Round> round = log_sync_.next;
    while (!round->result) {
        if (log_sync_.under_way) {
            log_sync_.changed.wait(lock);
            continue;
        }
        log_sync_.under_way = true;
        log_sync_.next = std::make_shared<LogSync::Round>();
        lock.unlock();
        Result<void> synced = log_sync_.is_doubtful ? settle_log() : sync_log_file();
        lock.lock();
        log_sync_.under_way = false;
        log_sync_.is_doubtful = !synced.ok();
        round->result = std::move(synced);
        log_sync_.changed.notify_all();
    }
    return *round->result;
}

Result<void> Database::sync_log_file() {
    return log_sync_.sync(log_.get()) == 0 ? ok()
                                           : Result<void>(errno_error("sync " + path_ + "-wal"));
}

// The kernel drops what it could not write and tells of it once, and SQLite reads no commit behind
// a gap. So the log is not added to: all of it goes to the database, and it begins anew.
Result<void> Database::settle_log() {
    const Session own = session();
    const int code = sqlite3_wal_checkpoint_v2(
        connection_, nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
    return code == SQLITE_OK ? ok() : Result<void>(error("checkpoint", code));
}

Result<void>
Database::migrate(std::string_view component, std::span<const std::string_view> steps) {
    // Tables that a power cut takes are made again; the first durable commit syncs them too.
    Transaction transaction = TRY(begin(Durability::Cache));
    TRY(transaction->execute("CREATE TABLE IF NOT EXISTS schema_versions ("
                             "component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"));
    std::int64_t version = 0;
    {
        Statement query =
            TRY(transaction->prepare("SELECT version FROM schema_versions WHERE component = ?1"));
        if (TRY(query.bind(1, component).step())) {
            version = query.number(0);
        }
    }
    auto newest = static_cast<std::int64_t>(steps.size());
    if (version > newest) {
        return conflict(
            "the database was written by a newer version (" + std::string(component) + " schema " +
            std::to_string(version) + ", this program knows " + std::to_string(newest) + ")");
    }
    for (std::string_view step : steps.subspan(static_cast<std::size_t>(version))) {
        TRY(transaction->execute(std::string(step)));
    }
    Statement record =
        TRY(transaction->prepare("INSERT INTO schema_versions (component, version) VALUES (?1, ?2)"
                                 " ON CONFLICT (component) DO UPDATE SET version = ?2"));
    TRY(record.bind(1, component).bind(2, newest).run());
    return transaction.commit();
}

} // namespace berth::store
