// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "kernel/file_maker.h"

#include <gtest/gtest.h>

#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::kernel {
namespace {

TEST(FileMaker, OwnsWhatAThreadMakesAndKeepsItsRights) {
    if (geteuid() != 0) {
        GTEST_SKIP() << "needs root";
    }
    const auto directory = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(directory.ok());
    const std::string closed = directory->path() + "/closed"; // to all but who has root's rights
    ASSERT_EQ(mkdir(closed.c_str(), 0500), 0);
    ASSERT_EQ(chown(closed.c_str(), 7, 7), 0);
    Result<void> done = internal_error("the thread did not run");
    int made = -1;
    std::thread([&] {
        done = make_files_as(std::pair(1234, 5678));
        made = mkdir((closed + "/made").c_str(), 0700);
    }).join();
    ASSERT_TRUE(done.ok()) << done.error().message();
    ASSERT_EQ(made, 0);

    struct stat status {};

    ASSERT_EQ(stat((closed + "/made").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_EQ(status.st_gid, 5678U);
    // Other threads are what they were.
    ASSERT_EQ(mkdir((closed + "/own").c_str(), 0700), 0);
    ASSERT_EQ(stat((closed + "/own").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 0U);
}

TEST(FileMaker, IsTheProcessItselfWithoutOne) {
    EXPECT_TRUE(make_files_as(std::nullopt).ok());
}

} // namespace
} // namespace berth::kernel
