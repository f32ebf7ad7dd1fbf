// SPDX-License-Identifier: Apache-2.0
#include "kernel/empty_mounts.h"
#include "kernel/namespace.h"

#include <gtest/gtest.h>

#include <cerrno>

#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::kernel {
namespace {

// In a process of its own within the namespace: what `look` returns there.
template <class Look>
int within(const UniqueFd& mounts, Look look) {
    const Cloned child = std::move(clone_process(0, UniqueFd())).value();
    if (child.pid == 0) {
        ::_exit(::setns(mounts.get(), CLONE_NEWNS) == 0 ? look() : 100);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child.pid, &status, 0), child.pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(EmptyMounts, HaveNothingButADirectoryThatNobodyWrites) {
    const auto mounts = make_empty_mount_namespace();
    ASSERT_TRUE(mounts.ok()) << mounts.error().message();
    EXPECT_EQ(within(*mounts, [] { return ::access("/proc", F_OK) < 0 ? errno : 0; }), ENOENT);
    EXPECT_EQ(within(*mounts, [] { return ::mkdir("/x", 0700) < 0 ? errno : 0; }), EROFS);
    EXPECT_EQ(within(*mounts, [] { return ::access("/..", R_OK | X_OK) < 0 ? errno : 0; }), 0);
}

TEST(EmptyMounts, LeaveTheirMakersAlone) {
    struct stat before {};

    struct stat after {};

    ASSERT_EQ(::stat("/", &before), 0);
    ASSERT_TRUE(make_empty_mount_namespace().ok());
    ASSERT_EQ(::stat("/", &after), 0);
    EXPECT_EQ(before.st_dev, after.st_dev);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

} // namespace
} // namespace berth::kernel
