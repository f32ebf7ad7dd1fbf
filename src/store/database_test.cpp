// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "store/database.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <future>
#include <latch>
#include <thread>
#include <vector>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::store {
namespace {

using Steps = std::vector<std::string_view>;

class DatabaseTest : public ::testing::Test {
  protected:
    std::unique_ptr<Database> open() {
        auto database = Database::open(path_);
        EXPECT_TRUE(database.ok()) << (database.ok() ? "" : database.error().message());
        return std::move(database).value();
    }

    static std::int64_t count(Database& database, std::string_view table) {
        Session session = database.session();
        auto query = session.prepare("SELECT count(*) FROM " + std::string(table));
        EXPECT_TRUE(query.ok());
        EXPECT_TRUE(query->step().value());
        return query->number(0);
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::string path_ = directory_.path() + "/metadata.db";
};

TEST_F(DatabaseTest, KeepsTextNumbersBlobsAndNull) {
    auto database = open();
    Session session = database->session();
    ASSERT_TRUE(session.execute("CREATE TABLE t (a TEXT, b INTEGER, c BLOB, d TEXT)").ok());
    auto insert = session.prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4)").value();
    ASSERT_TRUE(insert.bind(1, "")
                    .bind(2, std::int64_t{1} << 40)
                    .bind_blob(3, std::string_view("a\0b", 3))
                    .bind_optional(4, "")
                    .run()
                    .ok());
    auto query = session.prepare("SELECT a, b, c, d FROM t").value();
    ASSERT_TRUE(query.step().value());
    EXPECT_FALSE(query.is_null(0));
    EXPECT_EQ(query.number(1), std::int64_t{1} << 40);
    EXPECT_EQ(query.text(2), std::string_view("a\0b", 3));
    EXPECT_TRUE(query.is_null(3));
    EXPECT_FALSE(query.step().value());
}

TEST_F(DatabaseTest, DurableCommitsOfManyThreadsAreAllThereAfterAKill) {
    constexpr int threads = 8;
    constexpr int commits = 20;
    ASSERT_TRUE(open()->session().execute("CREATE TABLE t (a INTEGER)").ok());
    const pid_t child = fork();
    if (child == 0) {
        auto database = open();
        std::vector<std::thread> writers;
        for (int i = 0; i < threads; ++i) {
            writers.emplace_back([&database] {
                for (int k = 0; k < commits; ++k) {
                    auto transaction = database->begin(Durability::Durable);
                    const bool done = transaction.ok() &&
                                      (*transaction)->execute("INSERT INTO t VALUES (1)").ok() &&
                                      transaction->commit().ok();
                    if (!done) {
                        _exit(1);
                    }
                }
            });
        }
        for (std::thread& writer : writers) {
            writer.join();
        }
        _exit(0); // nothing is closed
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    EXPECT_EQ(count(*open(), "t"), threads * commits);
}

Result<void> insert_durably(Database& database) {
    auto transaction = database.begin(Durability::Durable).value();
    EXPECT_TRUE(transaction->execute("INSERT INTO t VALUES (1)").ok());
    return transaction.commit();
}

TEST_F(DatabaseTest, ASyncThatFailsFailsAllWhoShareIt) {
    auto database = open();
    ASSERT_TRUE(database->session().execute("CREATE TABLE t (a INTEGER)").ok());
    const auto commit = [&database] { return insert_durably(*database); };
    std::latch first_syncs(1);
    std::latch others_have_committed(1);
    std::atomic<int> syncs = 0;
    database->set_log_sync_for_test([&](int) {
        if (++syncs == 1) {
            first_syncs.count_down();
            others_have_committed.wait();
            return 0;
        }
        errno = EIO;
        return -1;
    });
    std::future<Result<void>> first = std::async(std::launch::async, commit);
    first_syncs.wait();
    std::vector<std::future<Result<void>>> others;
    for (int i = 0; i < 4; ++i) {
        others.push_back(std::async(std::launch::async, commit));
    }
    while (count(*database, "t") < 5) {
        std::this_thread::yield();
    }
    others_have_committed.count_down();
    EXPECT_TRUE(first.get().ok());
    int failed = 0;
    for (auto& other : others) {
        failed += other.get().ok() ? 0 : 1;
    }
    // Who was too late for their sync came to the next one, which is none of the log's any more.
    EXPECT_GE(failed, 1);
    EXPECT_EQ(syncs, 2);
}

TEST_F(DatabaseTest, AfterASyncThatFailedACommitIsInTheDatabaseItself) {
    auto database = open();
    ASSERT_TRUE(database->session().execute("CREATE TABLE t (a INTEGER)").ok());
    const auto commit = [&database] { return insert_durably(*database); };
    database->set_log_sync_for_test([](int) {
        errno = EIO;
        return -1;
    });
    const Result<void> lost = commit();
    ASSERT_FALSE(lost.ok());
    EXPECT_EQ(lost.error().error_number(), EIO);
    int syncs = 0;
    database->set_log_sync_for_test([&syncs](int) {
        ++syncs;
        return 0;
    });
    ASSERT_TRUE(commit().ok());
    EXPECT_EQ(syncs, 0);
    // Nobody knows what the disk has of the log.
    const std::string other = directory_.path() + "/other.db";
    ASSERT_TRUE(replace_file(other, read_file(path_).value()).ok());
    EXPECT_EQ(count(*Database::open(other).value(), "t"), 2);
    ASSERT_TRUE(commit().ok());
    EXPECT_EQ(syncs, 1);
}

TEST_F(DatabaseTest, ATransactionStaysASessionAfterADurableCommit) {
    auto database = open();
    auto transaction = database->begin(Durability::Durable).value();
    ASSERT_TRUE(transaction->execute("CREATE TABLE t (a INTEGER)").ok());
    ASSERT_TRUE(transaction.commit().ok());
    bool entered = false;
    std::thread other(
        [&] { entered = database->session().execute("INSERT INTO t VALUES (1)").ok(); });
    ASSERT_TRUE(transaction->execute("INSERT INTO t VALUES (2)").ok());
    { const Transaction gone = std::move(transaction); }
    other.join();
    EXPECT_TRUE(entered);
    EXPECT_EQ(count(*database, "t"), 2);
}

TEST_F(DatabaseTest, IsReadableByItsOwnerOnly) {
    open();

    struct stat status {};

    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(DatabaseTest, RollsBackATransactionThatIsNotCommitted) {
    auto database = open();
    ASSERT_TRUE(database->session().execute("CREATE TABLE t (a)").ok());
    {
        auto transaction = database->begin(Durability::Cache).value();
        ASSERT_TRUE(transaction->execute("INSERT INTO t VALUES (1)").ok());
    }
    EXPECT_EQ(count(*database, "t"), 0);
    {
        auto transaction = database->begin(Durability::Durable).value();
        ASSERT_TRUE(transaction->execute("INSERT INTO t VALUES (1)").ok());
        ASSERT_TRUE(transaction.commit().ok());
    }
    EXPECT_EQ(count(*database, "t"), 1);
}

TEST_F(DatabaseTest, MigratesEachComponentOnce) {
    constexpr std::string_view first = "CREATE TABLE one (a)";
    constexpr std::string_view second = "INSERT INTO one VALUES (1)";
    {
        auto database = open();
        ASSERT_TRUE(database->migrate("store", Steps{first}).ok());
        ASSERT_TRUE(database->migrate("engine", Steps{"CREATE TABLE two (a)"}).ok());
    }
    auto database = open();
    ASSERT_TRUE(database->migrate("store", Steps{first, second}).ok());
    ASSERT_TRUE(database->migrate("store", Steps{first, second}).ok());
    EXPECT_EQ(count(*database, "one"), 1);
    EXPECT_EQ(count(*database, "two"), 0);
}

TEST_F(DatabaseTest, RefusesADatabaseOfANewerProgram) {
    auto database = open();
    ASSERT_TRUE(database->migrate("store", Steps{"CREATE TABLE one (a)", "SELECT 1"}).ok());
    auto older = database->migrate("store", Steps{"CREATE TABLE one (a)"});
    ASSERT_FALSE(older.ok());
    EXPECT_EQ(older.error().kind(), ErrorKind::Conflict);
}

TEST_F(DatabaseTest, LeavesNothingOfAMigrationThatFails) {
    auto database = open();
    ASSERT_FALSE(database->migrate("store", Steps{"CREATE TABLE one (a)", "nonsense"}).ok());
    EXPECT_TRUE(database->migrate("store", Steps{"CREATE TABLE one (a)"}).ok());
}

TEST_F(DatabaseTest, NamesAFileThatIsNoDatabase) {
    ASSERT_TRUE(replace_file(path_, std::string(4096, 'x')).ok());
    auto database = Database::open(path_);
    ASSERT_FALSE(database.ok());
    EXPECT_EQ(database.error().kind(), ErrorKind::DataLoss);
    EXPECT_NE(database.error().message().find(path_), std::string::npos);
}

TEST_F(DatabaseTest, CallsABrokenConstraintAConflict) {
    auto database = open();
    Session session = database->session();
    ASSERT_TRUE(session.execute("CREATE TABLE t (a PRIMARY KEY); INSERT INTO t VALUES (1)").ok());
    auto again = session.execute("INSERT INTO t VALUES (1)");
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().kind(), ErrorKind::Conflict);
}

TEST_F(DatabaseTest, ServesManyThreads) {
    auto database = open();
    ASSERT_TRUE(database->session().execute("CREATE TABLE t (a)").ok());
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread) {
        threads.emplace_back([&] {
            for (std::int64_t i = 0; i < 50; ++i) {
                auto transaction = database->begin(Durability::Cache).value();
                auto insert = transaction->prepare("INSERT INTO t VALUES (?1)").value();
                EXPECT_TRUE(insert.bind(1, i).run().ok());
                EXPECT_TRUE(transaction.commit().ok());
            }
        });
    }
    threads.clear();
    EXPECT_EQ(count(*database, "t"), 400);
}

// What was committed is there after a kill, what was not is gone.
TEST_F(DatabaseTest, SurvivesAKilledProcess) {
    ASSERT_TRUE(open()->session().execute("CREATE TABLE t (a)").ok());
    pid_t child = fork();
    if (child == 0) {
        auto database = Database::open(path_).value();
        auto committed = database->begin(Durability::Cache).value();
        (void)committed->execute("INSERT INTO t VALUES (1)");
        (void)committed.commit();
        Transaction moved = std::move(committed);
        (void)moved->execute("BEGIN; INSERT INTO t VALUES (2)");
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    auto database = open();
    EXPECT_EQ(count(*database, "t"), 1);
}

} // namespace
} // namespace berth::store
