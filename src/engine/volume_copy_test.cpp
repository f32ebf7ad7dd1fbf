// SPDX-License-Identifier: Apache-2.0
// Copies of trees: what they have is what was there. Needs root.
#include "base/file.h"
#include "engine/volume_copy.h"

#include <gtest/gtest.h>

#include <array>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

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

// A container that has the volume already exchanges what is being made in it.
class VolumeCopyAttacked : public VolumeCopy {
  protected:
    std::string outside() const { return folder_.path() + "/outside"; }

    // Without a sync, as there are many.
    static void write_file(const std::string& path, std::string_view text) {
        const UniqueFd file = open_file(path, O_WRONLY | O_CREAT, 0600).value();
        EXPECT_EQ(write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }

    bool is_there(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

    // Makes `name` of the copy a link out of it as soon as `sign` is there.
    std::jthread swap(const std::string& sign, const std::string& name, const std::string& target) {
        return std::jthread([=, this](const std::stop_token& stop) {
            while (!stop.stop_requested() && !is_there(to() + "/" + sign)) {
            }
            const std::string path = to() + "/" + name;
            rename(path.c_str(), (folder_.path() + "/taken").c_str());
            EXPECT_EQ(symlink(target.c_str(), path.c_str()), 0);
        });
    }
};

TEST_F(VolumeCopyAttacked, ChangesNoModeOfWhatALinkLeadsTo) {
    write_file(outside(), "host");
    write_file(from() + "/file", std::string(64U << 20, 'x'));
    ASSERT_EQ(chmod((from() + "/file").c_str(), 04777), 0);
    std::jthread attacker = swap("file", "file", outside());
    [[maybe_unused]] const auto copied = copy();
    attacker.join();
    ASSERT_TRUE(S_ISLNK(status_of(to() + "/file").st_mode));
    EXPECT_EQ(status_of(outside()).st_mode & 07777, 0600U);
    EXPECT_EQ(status_of(folder_.path() + "/taken").st_mode & 07777, 04777U);
}

TEST_F(VolumeCopyAttacked, GivesNoNamesToFilesThatALinkLeadsTo) {
    constexpr int files = 1000;
    // Which directory is copied first is the file system's choice: both are.
    const std::string targets[] = {"/one", "/two"};
    ASSERT_TRUE(make_directories(outside()).ok());
    for (const std::string& directory : targets) {
        ASSERT_TRUE(make_directories(from() + directory).ok());
    }
    for (int i = 0; i < files; ++i) {
        const std::string name = "/" + std::to_string(i);
        write_file(outside() + name, "host");
        write_file(from() + "/one" + name, "");
        ASSERT_EQ(link((from() + "/one" + name).c_str(), (from() + "/two" + name).c_str()), 0);
    }
    std::string first;
    std::jthread attacker([&] {
        while (first.empty()) {
            for (const std::string& name : targets) {
                first = is_there(to() + name) ? name : first;
            }
        }
        const std::string second = first == "/one" ? "/two" : "/one";
        while (!is_there(to() + second)) {
        }
        rename((to() + first).c_str(), (folder_.path() + "/taken").c_str());
        EXPECT_EQ(symlink(outside().c_str(), (to() + first).c_str()), 0);
    });
    EXPECT_FALSE(copy().ok());
    attacker.join();
    int named = 0;
    for (int i = 0; i < files; ++i) {
        named += status_of(outside() + "/" + std::to_string(i)).st_nlink > 1 ? 1 : 0;
    }
    EXPECT_EQ(named, 0);
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
