// SPDX-License-Identifier: Apache-2.0
// After moby's pkg/archive: directories merge and take the source's mode, everything else replaces
// what was there. Times stay those of the source.
#include "build/tree_copier.h"

#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"
#include "build/directory_walk.h"
#include "kernel/path.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr mode_t permission_bits = 07777;
constexpr std::size_t copy_chunk = 1U << 30;

Result<std::string> read_link(int directory, const char* name) {
    std::array<char, 4096> target{};
    const ssize_t length = ::readlinkat(directory, name, target.data(), target.size());
    if (length < 0) {
        return errno_error("readlink " + std::string(name));
    }
    return std::string(target.data(), static_cast<std::size_t>(length));
}

// copy_file_range shares extents or stays in the kernel; it refuses some pairs of file systems.
Result<void> copy_content(FdRef from, FdRef to) {
    while (true) {
        ssize_t count = ::copy_file_range(from.get(), nullptr, to.get(), nullptr, copy_chunk, 0);
        if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                          errno == EOPNOTSUPP || errno == EPERM)) {
            count = ::sendfile(to.get(), from.get(), nullptr, copy_chunk);
        }
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return errno_error("copy");
        }
        if (count == 0) {
            return ok();
        }
    }
}

// Where a descriptor of a file in root is, as a path within root.
Result<std::string> path_in_root(FdRef root, FdRef file) {
    const std::string base = TRY(read_link(AT_FDCWD, kernel::fd_path(root).c_str()));
    const std::string path = TRY(read_link(AT_FDCWD, kernel::fd_path(file).c_str()));
    if (!path.starts_with(base + "/")) {
        return internal_error("a file left its root: " + path);
    }
    return path.substr(base.size());
}

} // namespace

Owner TreeCopier::owner_of(const struct stat& status) const {
    return options_.owner.value_or(Owner{status.st_uid, status.st_gid});
}

Result<UniqueFd> TreeCopier::ensure_directory(const std::string& path) {
    const Owner owner = options_.owner.value_or(Owner{});
    UniqueFd current = TRY(kernel::open_in_root(root_, "/", O_PATH | O_DIRECTORY));
    std::string walked;
    for (const std::string_view part : split(path, '/')) {
        if (part.empty() || part == ".") {
            continue;
        }
        const std::string name(part);
        walked += "/" + name;
        auto next = kernel::open_in_root(root_, walked, O_PATH | O_DIRECTORY);
        if (!next.ok() && next.error().error_number() == ENOENT) {
            if (::mkdirat(current.get(), name.c_str(), 0755) != 0 ||
                ::fchownat(
                    current.get(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) {
                return errno_error("mkdir " + walked);
            }
            next = kernel::open_in_root(root_, walked, O_PATH | O_DIRECTORY);
        }
        if (!next.ok() && next.error().error_number() == ENOTDIR) {
            return invalid_argument("cannot copy to non-directory: " + walked);
        }
        current = TRY(std::move(next));
    }
    return current;
}

Result<TreeCopier::Target>
TreeCopier::file_target(const std::string& source_name, const std::string& destination) {
    if (destination.ends_with('/')) {
        return Target{TRY(ensure_directory(destination)), source_name};
    }
    auto existing = kernel::open_in_root(root_, destination, O_PATH);
    if (existing.ok()) {
        struct stat status {};

        if (::fstat(existing->get(), &status) != 0) {
            return errno_error("stat " + destination);
        }
        if (S_ISDIR(status.st_mode)) {
            return Target{std::move(existing).value(), source_name};
        }
        // A link at the destination means the file that it points to.
        const std::string real = TRY(path_in_root(root_, *existing));
        kernel::ParentAndName place = TRY(kernel::open_parent_in_root(root_, real));
        return Target{std::move(place.parent), std::move(place.name)};
    }
    const auto parts = cut_last(destination, "/");
    const std::string parent(parts ? parts->before : std::string_view());
    const std::string name(parts ? parts->after : std::string_view(destination));
    return Target{TRY(ensure_directory(parent)), name};
}

Result<void>
TreeCopier::copy(const SourceTree& tree, const SourcePath& source, const std::string& destination) {
    if (source.is_directory) {
        const UniqueFd from = TRY(tree.open(source, O_PATH | O_DIRECTORY));
        const UniqueFd to = TRY(ensure_directory(destination));
        return copy_children(from, to, 0);
    }
    const UniqueFd from = TRY(tree.open(source, O_PATH));

    struct stat status {};

    if (::fstat(from.get(), &status) != 0) {
        return errno_error("stat " + source.path);
    }
    const Target target = TRY(file_target(source.name(), destination));
    TRY(clear_way(target.parent, target.name));
    if (!S_ISREG(status.st_mode)) {
        return copy_special(from, status, target.parent, target.name);
    }
    const UniqueFd readable = TRY(tree.open(source, O_RDONLY | O_NONBLOCK));
    return copy_file(readable, status, target.parent, target.name);
}

Result<void> TreeCopier::write(
    const std::string& name, std::string_view content, const std::string& destination) {
    const Target target = TRY(file_target(name, destination));
    TRY(clear_way(target.parent, target.name));
    const UniqueFd file(::openat(
        target.parent.get(),
        target.name.c_str(),
        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
        0600));
    if (!file) {
        return errno_error("create " + target.name);
    }
    TRY(write_all(file, content));
    const Owner owner = options_.owner.value_or(Owner{});
    if (::fchown(file.get(), owner.uid, owner.gid) != 0 ||
        ::fchmod(file.get(), options_.mode.value_or(0644)) != 0) {
        return errno_error("set owner and mode of " + target.name);
    }
    return ok();
}

// Directories are left: what replaces them decides.
Result<void> TreeCopier::clear_way(FdRef parent, const std::string& name) const {
    if (::unlinkat(parent.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
        return ok();
    }
    if (errno == EISDIR || errno == EPERM) {
        return invalid_argument("cannot copy a file over the directory " + name);
    }
    return errno_error("unlink " + name);
}

Result<void> TreeCopier::set_metadata(FdRef source, const struct stat& status, FdRef file) const {
    const Owner owner = owner_of(status);
    if (::fchown(file.get(), owner.uid, owner.gid) != 0) {
        return errno_error("chown");
    }
    // After the owner: chown(2) takes set-id bits and capabilities away.
    if (::fchmod(file.get(), options_.mode.value_or(status.st_mode & permission_bits)) != 0) {
        return errno_error("chmod");
    }
    for (const auto& [key, value] : TRY(read_xattrs(source))) {
        if (::fsetxattr(file.get(), key.c_str(), value.data(), value.size(), 0) != 0 &&
            errno != ENOTSUP) {
            return errno_error("setxattr " + key);
        }
    }
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    if (::futimens(file.get(), times.data()) != 0) {
        return errno_error("utimens");
    }
    return ok();
}

Result<void>
TreeCopier::copy_file(FdRef from, const struct stat& status, FdRef to, const std::string& name) {
    const UniqueFd file(::openat(
        to.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) {
        return errno_error("create " + name);
    }
    TRY_CONTEXT(copy_content(from, file), name);
    return set_metadata(from, status, file);
}

// from: the entry itself, opened with O_PATH | O_NOFOLLOW.
Result<void>
TreeCopier::copy_special(FdRef from, const struct stat& status, FdRef to, const std::string& name) {
    const Owner owner = owner_of(status);
    if (S_ISLNK(status.st_mode)) {
        const std::string target = TRY(read_link(from.get(), ""));
        if (::symlinkat(target.c_str(), to.get(), name.c_str()) != 0) {
            return errno_error("symlink " + name);
        }
    } else if (S_ISSOCK(status.st_mode) || (S_ISCHR(status.st_mode) && status.st_rdev == 0)) {
        return ok(); // sockets are nobody's content, and 0/0 is overlayfs's whiteout
    } else if (
        ::mknodat(to.get(), name.c_str(), (status.st_mode & S_IFMT) | 0600U, status.st_rdev) != 0) {
        return errno_error("mknod " + name);
    }
    if (::fchownat(to.get(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("chown " + name);
    }
    if (!S_ISLNK(status.st_mode) &&
        ::fchmodat(to.get(), name.c_str(), status.st_mode & permission_bits, 0) != 0) {
        return errno_error("chmod " + name);
    }
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    if (::utimensat(to.get(), name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("utimens " + name);
    }
    return ok();
}

Result<void> TreeCopier::copy_children(FdRef from, FdRef to, int depth) {
    if (depth > tree_depth_limit) {
        return tree_too_deep();
    }
    for (const std::string& name : TRY(entry_names(from))) {
        TRY(copy_entry(from, to, name, depth));
    }
    return ok();
}

Result<void> TreeCopier::copy_entry(FdRef from, FdRef to, const std::string& name, int depth) {
    struct stat status {};

    if (::fstatat(from.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("stat " + name);
    }
    if (S_ISDIR(status.st_mode)) {
        return copy_directory(from, to, name, depth);
    }

    struct stat present {};

    if (::fstatat(to.get(), name.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0) {
        TRY(clear_way(to, name));
    }
    if (!S_ISREG(status.st_mode)) {
        const UniqueFd entry(::openat(from.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (!entry) {
            return errno_error("open " + name);
        }
        return copy_special(entry, status, to, name);
    }
    const UniqueFd entry(
        ::openat(from.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!entry) {
        return errno_error("open " + name);
    }
    return copy_file(entry, status, to, name);
}

Result<void> TreeCopier::copy_directory(FdRef from, FdRef to, const std::string& name, int depth) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd source(::openat(from.get(), name.c_str(), flags));

    struct stat status {};

    if (!source || ::fstat(source.get(), &status) != 0) {
        return errno_error("open " + name);
    }
    UniqueFd target(::openat(to.get(), name.c_str(), flags));
    if (!target) {
        if (errno == ENOTDIR || errno == ELOOP) {
            TRY(clear_way(to, name));
        } else if (errno != ENOENT) {
            return errno_error("open " + name);
        }
        if (::mkdirat(to.get(), name.c_str(), 0700) != 0) {
            return errno_error("mkdir " + name);
        }
        target = UniqueFd(::openat(to.get(), name.c_str(), flags));
        if (!target) {
            return errno_error("open " + name);
        }
    }
    TRY(copy_children(source, target, depth + 1));
    return set_metadata(source, status, target);
}

} // namespace berth::build
