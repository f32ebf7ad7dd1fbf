// SPDX-License-Identifier: Apache-2.0
// Copies of trees: what they have is what was there. Needs root.
#include "base/file.h"
#include "engine/volume_copy.h"

#include <gtest/gtest.h>

#include <array>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::engine {
namespace {

class VolumeCopy : public testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) {
            GTEST_SKIP() << "needs root";
        }
        ASSERT_TRUE(make_directories(from()).ok());
        ASSERT_TRUE(make_directories(to()).ok());
    }

    std::string from() const { return folder_.path() + "/from"; }

    std::string to() const { return folder_.path() + "/to"; }

    Result<void> copy(OverlayAttributes overlay = OverlayAttributes::Copy) {
        const UniqueFd source = TRY(open_file(from(), O_RDONLY | O_DIRECTORY));
        const UniqueFd target = TRY(open_file(to(), O_RDONLY | O_DIRECTORY));
        return copy_tree(source, target, overlay);
    }

    struct stat status_of(const std::string& path) {
        struct stat status {};

        EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
        return status;
    }

    TemporaryDirectory folder_ = TemporaryDirectory::create("/tmp").value();
};

TEST_F(VolumeCopy, KeepsOwnersModesTimesAndLinks) {
    ASSERT_TRUE(make_directories(from() + "/a/b").ok());
    ASSERT_TRUE(replace_file(from() + "/a/b/file", "text").ok());
    ASSERT_EQ(link((from() + "/a/b/file").c_str(), (from() + "/hard").c_str()), 0);
    ASSERT_EQ(symlink("/etc/passwd", (from() + "/link").c_str()), 0);
    ASSERT_EQ(lchown((from() + "/hard").c_str(), 3, 4), 0);
    ASSERT_EQ(chmod((from() + "/hard").c_str(), 04711), 0);
    ASSERT_EQ(chown((from() + "/a/b").c_str(), 5, 6), 0);
    ASSERT_EQ(chmod((from() + "/a/b").c_str(), 01700), 0);
    const std::array<timespec, 2> times{timespec{11, 0}, timespec{1234567, 89}};
    ASSERT_EQ(utimensat(AT_FDCWD, (from() + "/a/b").c_str(), times.data(), 0), 0);

    ASSERT_TRUE(copy().ok());
    EXPECT_EQ(read_file(to() + "/a/b/file").value(), "text");
    const struct stat file = status_of(to() + "/hard");
    EXPECT_EQ(file.st_ino, status_of(to() + "/a/b/file").st_ino);
    EXPECT_EQ(file.st_nlink, 2U);
    EXPECT_EQ(file.st_mode & 07777, 04711U);
    EXPECT_EQ(file.st_uid, 3U);
    EXPECT_TRUE(S_ISLNK(status_of(to() + "/link").st_mode));
    const struct stat directory = status_of(to() + "/a/b");
    EXPECT_EQ(directory.st_mode & 07777, 01700U);
    EXPECT_EQ(directory.st_gid, 6U);
    EXPECT_EQ(directory.st_mtim.tv_sec, 1234567);
    EXPECT_EQ(directory.st_mtim.tv_nsec, 89);
}

TEST_F(VolumeCopy, KeepsHoles) {
    {
        const UniqueFd file =
            open_file(from() + "/sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600).value();
        ASSERT_EQ(pwrite(file.get(), "begin", 5, 0), 5);
        ASSERT_EQ(pwrite(file.get(), "middle", 6, 32 << 20), 6);
        ASSERT_EQ(ftruncate(file.get(), 64 << 20), 0);
    }
    ASSERT_TRUE(copy().ok());
    const struct stat status = status_of(to() + "/sparse");
    EXPECT_EQ(status.st_size, 64 << 20);
    EXPECT_LT(status.st_blocks * 512, 1 << 20);
    const std::string text = read_file(to() + "/sparse", 65U << 20).value();
    EXPECT_EQ(text.substr(0, 6), std::string("begin\0", 6));
    EXPECT_EQ(text.substr(32 << 20, 6), "middle");
}

TEST_F(VolumeCopy, LeavesOverlaysOwnAttributesWhereTheyMeanNothing) {
    ASSERT_TRUE(make_directories(from() + "/opaque").ok());
    const std::string path = from() + "/opaque";
    if (setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0 ||
        setxattr(path.c_str(), "trusted.other", "x", 1, 0) != 0) {
        GTEST_SKIP() << "no such attributes on this file system";
    }
    ASSERT_TRUE(copy(OverlayAttributes::Leave).ok());
    std::array<char, 8> value{};
    const std::string copied = to() + "/opaque";
    EXPECT_EQ(getxattr(copied.c_str(), "trusted.other", value.data(), value.size()), 1);
    EXPECT_LT(getxattr(copied.c_str(), "trusted.overlay.opaque", value.data(), value.size()), 0);
}

TEST_F(VolumeCopy, EndsWhereDirectoriesAreNestedTooDeep) {
    UniqueFd at = open_file(from(), O_RDONLY | O_DIRECTORY).value();
    for (int i = 0; i < 600; ++i) {
        ASSERT_EQ(mkdirat(at.get(), "d", 0755), 0);
        at = UniqueFd(openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    EXPECT_EQ(copy().error().error_number(), ELOOP);
}

} // namespace
} // namespace berth::engine
