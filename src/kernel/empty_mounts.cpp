// SPDX-License-Identifier: Apache-2.0
// A child makes it, since a thread that left the mount namespace could not come back to its root.
#include "kernel/empty_mounts.h"

#include "kernel/mount.h"
#include "kernel/suspended_child.h"

#include <linux/mount.h>

#include <cerrno>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

struct Making {
    int root = -1; // a detached mount
    int made = -1; // the namespace
    int error = 0;
};

bool enter_and_empty(Making& making) {
    if (::syscall(SYS_unshare, CLONE_NEWNS) != 0) {
        return false;
    }
    making.made = static_cast<int>(
        ::syscall(SYS_openat, AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    // The old root lands on top of the new one and is taken off again: pivot_root(2).
    return making.made >= 0 &&
           ::syscall(SYS_mount, nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::syscall(SYS_move_mount, making.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) ==
               0 &&
           ::syscall(SYS_fchdir, making.root) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 &&
           ::syscall(SYS_umount2, ".", MNT_DETACH) == 0;
}

int make_in_child(void* argument) {
    auto* making = static_cast<Making*>(argument);
    making->error = enter_and_empty(*making) ? 0 : errno;
    ::syscall(SYS_exit, 0);
    return 0;
}

} // namespace

Result<UniqueFd> make_empty_mount_namespace() {
    constexpr const char* what = "make an empty mount namespace";
    const UniqueFd root = TRY(make_mount(
        "tmpfs",
        "tmpfs",
        {{"size", "4k"}, {"nr_inodes", "1"}, {"mode", "555"}},
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    Making making{.root = root.get()};
    TRY(run_suspended_child(&make_in_child, &making, what));
    UniqueFd made(making.made);
    if (making.error != 0) {
        return Error::from_errno(what, making.error);
    }
    return made;
}

} // namespace berth::kernel
