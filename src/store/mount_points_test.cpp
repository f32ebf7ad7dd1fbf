// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "store/mount_points.h"
#include "store/store.h"
#include "store/testing.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {
namespace {

// "drwxr-xr-x" as four octal digits behind the type's letter.
std::string shape_of(const std::string& path) {
    struct stat status {};

    if (::lstat(path.c_str(), &status) != 0) {
        return "nothing";
    }
    const char type = S_ISDIR(status.st_mode) ? 'd' : S_ISLNK(status.st_mode) ? 'l' : 'f';
    char text[16];
    std::snprintf(text, sizeof text, "%c%04o", type, status.st_mode & 07777);
    return text;
}

TEST(MountPoints, AreDockers) {
    const TemporaryDirectory root = TemporaryDirectory::create("/tmp").value();
    const mode_t before = ::umask(077);
    const Result<void> made = make_mount_points(root.path());
    ::umask(before);
    ASSERT_TRUE(made.ok()) << made.error().message();
    for (const char* path : {"dev", "dev/pts", "dev/shm", "etc", "proc", "sys"}) {
        EXPECT_EQ(shape_of(root.path() + "/" + path), "d0755") << path;
    }
    for (const char* path :
         {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"}) {
        EXPECT_EQ(shape_of(root.path() + "/" + path), "f0755") << path;
        EXPECT_EQ(read_file(root.path() + "/" + path).value_or("?"), "") << path;
    }
    EXPECT_EQ(shape_of(root.path() + "/etc/mtab"), "l0777");
}

TEST(MountPoints, LeaveWhatIsThere) {
    const TemporaryDirectory root = TemporaryDirectory::create("/tmp").value();
    const std::string path = root.path();
    ASSERT_TRUE(replace_file(path + "/dev", "a file", 0600, Sync::No).ok());
    ASSERT_TRUE(make_directories(path + "/other", 0700).ok());
    ASSERT_EQ(::symlink("/other", (path + "/etc").c_str()), 0);
    ASSERT_EQ(::symlink("sys", (path + "/sys").c_str()), 0); // leads nowhere
    ASSERT_TRUE(replace_file(path + "/other/hosts", "mine", 0600, Sync::No).ok());
    for (int again = 0; again < 2; ++again) {
        const Result<void> made = make_mount_points(path);
        ASSERT_TRUE(made.ok()) << made.error().message();
    }
    EXPECT_EQ(read_file(path + "/dev").value(), "a file");
    EXPECT_EQ(read_file(path + "/other/hosts").value(), "mine");
    EXPECT_EQ(shape_of(path + "/other"), "d0700");
    EXPECT_EQ(shape_of(path + "/other/resolv.conf"), "f0755"); // inside, not in the host's /other
    EXPECT_EQ(shape_of(path + "/proc"), "d0755");
}

} // namespace
} // namespace berth::store
