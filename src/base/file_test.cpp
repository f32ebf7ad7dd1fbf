// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <gtest/gtest.h>

#include <barrier>
#include <cerrno>
#include <future>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth {
namespace {

class FileTest : public testing::Test {
  protected:
    std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

    TemporaryDirectory directory_ = TemporaryDirectory::create(testing::TempDir()).value();
};

TEST_F(FileTest, ReplaceWritesAllOrNothingAndLeavesNoTemporary) {
    ASSERT_TRUE(replace_file(path("a"), "one", 0600).ok());
    ASSERT_TRUE(replace_file(path("a"), "two", 0640).ok());
    EXPECT_EQ(read_file(path("a")).value(), "two");

    struct stat status {};

    ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0640U);
    EXPECT_EQ(list_directory(directory_.path()).value(), std::vector<std::string>{"a"});
}

TEST_F(FileTest, ReadStopsAtItsLimit) {
    ASSERT_TRUE(replace_file(path("a"), std::string(100, 'x')).ok());
    EXPECT_EQ(read_file(path("a"), 100).value().size(), 100U);
    Result<std::string> result = read_file(path("a"), 99);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind(), ErrorKind::ResourceExhausted);
}

TEST_F(FileTest, ReadsProcFilesWhoseSizeIsZero) {
    EXPECT_FALSE(read_file("/proc/self/status").value().empty());
}

TEST_F(FileTest, RemoveTreeDoesNotFollowLinks) {
    ASSERT_TRUE(make_directories(path("keep")).ok());
    ASSERT_TRUE(replace_file(path("keep/file"), "x").ok());
    ASSERT_TRUE(make_directories(path("gone/deep/er")).ok());
    ASSERT_EQ(::symlink(path("keep").c_str(), path("gone/deep/link").c_str()), 0);
    ASSERT_TRUE(remove_tree(path("gone")).ok());
    EXPECT_FALSE(exists(path("gone")));
    EXPECT_TRUE(exists(path("keep/file")));
    EXPECT_TRUE(remove_tree(path("gone")).ok()) << "absent is fine";
}

TEST_F(FileTest, TwoRemoveTheSameTree) {
    const TemporaryDirectory memory = TemporaryDirectory::create("/dev/shm").value(); // many rounds
    const std::string tree = memory.path() + "/gone";
    for (int round = 0; round < 200; ++round) {
        for (int child = 0; child < 100; ++child) {
            ASSERT_TRUE(make_directories(tree + "/" + std::to_string(child)).ok());
        }
        std::barrier both(2);
        auto remove = [&] {
            both.arrive_and_wait();
            return remove_tree(tree);
        };
        std::future<Result<void>> other = std::async(std::launch::async, remove);
        Result<void> removed = remove();
        EXPECT_TRUE(removed.ok()) << removed.error().message();
        Result<void> others = other.get();
        EXPECT_TRUE(others.ok()) << others.error().message();
        ASSERT_FALSE(exists(tree));
    }
}

TEST_F(FileTest, MakeDirectoriesRefusesAFileInTheWay) {
    ASSERT_TRUE(replace_file(path("file"), "x").ok());
    EXPECT_EQ(make_directories(path("file")).error().error_number(), EEXIST);
    EXPECT_EQ(make_directories(path("file/below")).error().error_number(), ENOTDIR);
}

TEST_F(FileTest, LockIsExclusiveUntilReleased) {
    {
        Result<FileLock> held = FileLock::acquire(path("lock"));
        ASSERT_TRUE(held.ok());
        EXPECT_EQ(FileLock::acquire(path("lock")).error().kind(), ErrorKind::Conflict);
    }
    EXPECT_TRUE(FileLock::acquire(path("lock")).ok());
}

TEST_F(FileTest, TemporaryDirectoryVanishesWithItsContent) {
    std::string gone;
    {
        TemporaryDirectory inner = TemporaryDirectory::create(directory_.path()).value();
        gone = inner.path();
        ASSERT_TRUE(replace_file(gone + "/a", "x").ok());
    }
    EXPECT_FALSE(exists(gone));
}

} // namespace
} // namespace berth
