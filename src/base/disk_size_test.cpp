// SPDX-License-Identifier: Apache-2.0
#include "base/disk_size.h"
#include "base/file.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

namespace berth {
namespace {

std::uint64_t blocks_of(const std::string& path) {
    struct stat status {};

    EXPECT_EQ(::lstat(path.c_str(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

TEST(DiskSize, CountsBlocksAndEachFileOnce) {
    const TemporaryDirectory directory = TemporaryDirectory::create(testing::TempDir()).value();
    const std::string& root = directory.path();
    ASSERT_TRUE(make_directories(root + "/below").ok());
    ASSERT_TRUE(replace_file(root + "/file", std::string(100'000, 'x')).ok());
    ASSERT_TRUE(replace_file(root + "/below/sparse", "x").ok());
    ASSERT_EQ(::truncate((root + "/below/sparse").c_str(), 1 << 30), 0);
    ASSERT_EQ(::link((root + "/file").c_str(), (root + "/below/again").c_str()), 0);
    ASSERT_EQ(::symlink("/", (root + "/everything").c_str()), 0);
    const std::uint64_t files = blocks_of(root + "/file") + blocks_of(root + "/below/sparse") +
                                blocks_of(root + "/everything");
    EXPECT_GE(files, 100'000U);
    EXPECT_EQ(disk_size(root, CountDirectories::No), files);
    EXPECT_EQ(
        disk_size(root, CountDirectories::Yes),
        files + blocks_of(root) + blocks_of(root + "/below"));
    EXPECT_EQ(disk_size(root + "/absent", CountDirectories::Yes), 0U);
}

} // namespace
} // namespace berth
