// SPDX-License-Identifier: Apache-2.0
// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS below a verified root.
#include "kernel/procfs.h"

#include "base/file.h"

#include <linux/magic.h>
#include <linux/openat2.h>

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

constexpr ino_t procfs_root_inode = 1;
constexpr std::size_t max_file = 1U << 20;

} // namespace

Result<Procfs> Procfs::open() {
    return adopt(TRY(open_file("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW)));
}

Result<Procfs> Procfs::adopt(UniqueFd directory) {
    struct statfs system {};

    struct stat status {};

    if (::fstatfs(directory.get(), &system) < 0 || ::fstat(directory.get(), &status) < 0) {
        return errno_error("/proc");
    }
    if (system.f_type != PROC_SUPER_MAGIC || status.st_ino != procfs_root_inode) {
        return Error(ErrorKind::Forbidden, "/proc is not the root of a procfs");
    }
    return Procfs(std::move(directory));
}

Result<UniqueFd> Procfs::open_below(std::string_view path, int flags) const {
    std::string name(path);
    if (path.starts_with("self/")) {
        // "self" is the one link that we follow, by hand.
        std::string target(32, '\0');
        ssize_t size = ::readlinkat(root_.get(), "self", target.data(), target.size());
        if (size <= 0) {
            return errno_error("/proc/self");
        }
        name = target.substr(0, static_cast<std::size_t>(size)) + name.substr(4);
    }
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how)));
    if (!fd) {
        return errno_error("open /proc/" + std::string(path));
    }
    return fd;
}

Result<void> Procfs::write(std::string_view path, std::string_view bytes) const {
    UniqueFd fd = TRY(open_below(path, O_WRONLY));
    // One write: the kernel takes a value of procfs in one piece or not at all.
    if (::write(fd.get(), bytes.data(), bytes.size()) < 0) {
        return errno_error("write /proc/" + std::string(path));
    }
    return ok();
}

Result<std::string> Procfs::read(std::string_view path) const {
    UniqueFd fd = TRY(open_below(path, O_RDONLY));
    return read_all(fd, max_file);
}

} // namespace berth::kernel
