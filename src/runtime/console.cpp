// SPDX-License-Identifier: Apache-2.0
// CVE-2025-52565: the slave comes from TIOCGPTPEER, never from a path, and what it is bound over
// is a file below the root that we have opened.
#include "runtime/console.h"

#include "kernel/mount.h"
#include "kernel/path.h"
#include "runtime/container_mounts.h"

#include <linux/magic.h>

#include <cerrno>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

Result<UniqueFd> open_multiplexer(const UniqueFd& root) {
    UniqueFd file = TRY(kernel::open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY));

    struct statfs system {};

    struct stat status {};

    if (::fstatfs(file.get(), &system) < 0 || ::fstat(file.get(), &status) < 0) {
        return errno_error("/dev/pts/ptmx");
    }
    if (system.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(status.st_mode) ||
        status.st_rdev != makedev(5, 2)) {
        return Error(
            ErrorKind::Forbidden, "/dev/pts/ptmx of the container is no terminal multiplexer");
    }
    return file;
}

} // namespace

Result<Console> open_console(const UniqueFd& root, const std::optional<oci::ConsoleSize>& size) {
    Console console;
    console.master = TRY_CONTEXT(open_multiplexer(root), "open a terminal");
    int unlock = 0;
    if (::ioctl(console.master.get(), TIOCSPTLCK, &unlock) < 0) {
        return errno_error("unlock a terminal");
    }
    console.slave =
        UniqueFd(::ioctl(console.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!console.slave) {
        return errno_error("open a terminal's other side");
    }
    if (size && (size->height != 0 || size->width != 0)) {
        winsize window{
            static_cast<unsigned short>(size->height),
            static_cast<unsigned short>(size->width),
            0,
            0};
        if (::ioctl(console.master.get(), TIOCSWINSZ, &window) < 0) {
            return errno_error("set a terminal's size");
        }
    }
    return console;
}

Result<void> bind_console(const UniqueFd& root, const Console& console) {
    // A link of the image leads nowhere but into /dev, and /dev not into /proc.
    UniqueFd dev = TRY(kernel::make_directories_in_root(root, "/dev"));
    UniqueFd target = TRY_CONTEXT(open_file_target(dev, "/console"), "/dev/console");

    struct statfs system {};

    if (::fstatfs(target.get(), &system) < 0) {
        return errno_error("/dev/console");
    }
    if (system.f_type == PROC_SUPER_MAGIC) {
        return Error(ErrorKind::Forbidden, "/dev/console of the container is a file of a procfs");
    }
    UniqueFd mount = TRY(kernel::clone_mount(console.slave, kernel::Recursive::No));
    TRY_CONTEXT(kernel::attach_mount(mount, target), "/dev/console");
    return ok();
}

Result<void> use_console(const Console& console) {
    if (::ioctl(console.slave.get(), TIOCSCTTY, 0) < 0) {
        return errno_error("make the terminal the controlling one");
    }
    for (int fd = 0; fd <= 2; ++fd) {
        if (::dup2(console.slave.get(), fd) < 0) {
            return errno_error("use the terminal");
        }
    }
    return ok();
}

} // namespace berth::runtime
