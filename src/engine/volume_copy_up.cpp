// SPDX-License-Identifier: Apache-2.0
// The first content of a volume. The image's tree is not trusted: the destination is resolved
// within the root, and below it every step is made by descriptor without following links.
#include "base/file.h"
#include "engine/container_files.h"
#include "kernel/path.h"

#include <array>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// Deeper trees end in ELOOP rather than in an exhausted stack.
constexpr unsigned depth_limit = 512;

Result<void> copy_attributes(FdRef parent, const std::string& name, const struct stat& status) {
    if (fchownat(parent.get(), name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) !=
        0) {
        return errno_error("chown " + name);
    }
    if (!S_ISLNK(status.st_mode) &&
        fchmodat(parent.get(), name.c_str(), status.st_mode & 07777, 0) != 0) {
        return errno_error("chmod " + name);
    }
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    if (utimensat(parent.get(), name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("utimensat " + name);
    }
    return ok();
}

// security.capability and user.* of files and directories.
Result<void> copy_xattrs(FdRef from, FdRef to) {
    std::array<char, 64 << 10> names{};
    const ssize_t length = flistxattr(from.get(), names.data(), names.size());
    for (ssize_t at = 0; at < length;) {
        const std::string name(names.data() + at);
        at += static_cast<ssize_t>(name.size()) + 1;
        if (name.starts_with("trusted.overlay.")) {
            continue;
        }
        std::array<char, 64 << 10> value{};
        const ssize_t size = fgetxattr(from.get(), name.c_str(), value.data(), value.size());
        if (size >= 0 &&
            fsetxattr(to.get(), name.c_str(), value.data(), static_cast<std::size_t>(size), 0) !=
                0 &&
            errno != EOPNOTSUPP) {
            return errno_error("setxattr " + name);
        }
    }
    return ok();
}

Result<void> copy_file(FdRef from_parent, FdRef to_parent, const std::string& name) {
    const UniqueFd from(
        openat(from_parent.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    const UniqueFd to(openat(
        to_parent.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!from || !to) {
        return errno_error("copying " + name);
    }
    std::array<char, 128 << 10> buffer{};
    while (true) {
        const ssize_t got = read(from.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errno_error("reading " + name);
        }
        if (got == 0) {
            break;
        }
        TRY(write_all(to, std::string_view(buffer.data(), static_cast<std::size_t>(got))));
    }
    return copy_xattrs(from, to);
}

Result<void> copy_entry(FdRef from, FdRef to, const std::string& name, unsigned depth);

Result<void> copy_content(FdRef from, FdRef to, unsigned depth) {
    if (depth > depth_limit) {
        return Error::from_errno("copying a volume's first content", ELOOP);
    }
    const int listing = openat(from.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (listing < 0) {
        return errno_error("listing a directory");
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(listing), closedir);
    while (const dirent* entry = readdir(directory.get())) {
        const std::string name = static_cast<const char*>(entry->d_name);
        if (name != "." && name != "..") {
            TRY(copy_entry(from, to, name, depth));
        }
    }
    return ok();
}

Result<void> copy_entry(FdRef from, FdRef to, const std::string& name, unsigned depth) {
    struct stat status {};

    if (fstatat(from.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("stat " + name);
    }
    if (S_ISDIR(status.st_mode)) {
        if (mkdirat(to.get(), name.c_str(), 0700) != 0) {
            return errno_error("mkdir " + name);
        }
        constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        const UniqueFd from_child(openat(from.get(), name.c_str(), flags));
        const UniqueFd to_child(openat(to.get(), name.c_str(), flags));
        if (!from_child || !to_child) {
            return errno_error("opening " + name);
        }
        TRY(copy_xattrs(from_child, to_child));
        TRY(copy_content(from_child, to_child, depth + 1));
    } else if (S_ISREG(status.st_mode)) {
        TRY(copy_file(from, to, name));
    } else if (S_ISLNK(status.st_mode)) {
        std::array<char, 4096> target{};
        const ssize_t size = readlinkat(from.get(), name.c_str(), target.data(), target.size() - 1);
        if (size < 0 || symlinkat(target.data(), to.get(), name.c_str()) != 0) {
            return errno_error("copying link " + name);
        }
    } else if (mknodat(to.get(), name.c_str(), status.st_mode, status.st_rdev) != 0) {
        return errno_error("mknod " + name);
    }
    return copy_attributes(to, name, status);
}

} // namespace

Result<void> copy_up(
    const std::string& root_path, const std::string& destination, const std::string& volume_path) {
    if (!TRY(list_directory(volume_path)).empty()) {
        return ok();
    }
    const UniqueFd root = TRY(open_file(root_path, O_PATH | O_DIRECTORY));
    auto from = kernel::open_in_root(root, destination, O_RDONLY | O_DIRECTORY);
    if (!from.ok()) {
        const int reason = from.error().error_number();
        if (reason == ENOENT || reason == ENOTDIR) {
            return ok();
        }
        return std::move(from).error();
    }
    const UniqueFd to = TRY(open_file(volume_path, O_RDONLY | O_DIRECTORY));
    TRY_CONTEXT(copy_content(*from, to, 0), "filling volume for " + destination);

    struct stat status {};

    if (fstat(from->get(), &status) != 0 || fchown(to.get(), status.st_uid, status.st_gid) != 0 ||
        fchmod(to.get(), status.st_mode & 07777) != 0) {
        return errno_error("owner of the volume for " + destination);
    }
    return ok();
}

} // namespace berth::engine
