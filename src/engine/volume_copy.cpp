// SPDX-License-Identifier: Apache-2.0
// Copies by descriptor: reflinks where the file system has them, otherwise the kernel copies what
// is data and leaves out the holes.
#include "engine/volume_copy.h"

#include "base/file.h"

#include <linux/fs.h>

#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// Deeper trees end in ELOOP rather than in an exhausted stack.
constexpr unsigned depth_limit = 512;
constexpr std::size_t attribute_bytes = 64U << 10;
constexpr std::size_t piece_bytes = 1U << 30;

std::string path_in(FdRef directory, const std::string& name) {
    return "/proc/self/fd/" + std::to_string(directory.get()) + "/" + name;
}

// Of a name that is not followed: files, directories and links alike.
Result<void>
copy_xattrs(const std::string& from, const std::string& to, OverlayAttributes overlay) {
    std::string names(attribute_bytes, '\0');
    const ssize_t length = llistxattr(from.c_str(), names.data(), names.size());
    if (length <= 0) {
        return ok();
    }
    std::string value(attribute_bytes, '\0');
    for (ssize_t at = 0; at < length;) {
        const std::string name(names.data() + at);
        at += static_cast<ssize_t>(name.size()) + 1;
        if (overlay == OverlayAttributes::Leave && name.starts_with("trusted.overlay.")) {
            continue;
        }
        const ssize_t size = lgetxattr(from.c_str(), name.c_str(), value.data(), value.size());
        if (size >= 0 &&
            lsetxattr(to.c_str(), name.c_str(), value.data(), static_cast<std::size_t>(size), 0) !=
                0 &&
            errno != EOPNOTSUPP) {
            return errno_error("setxattr " + name);
        }
    }
    return ok();
}

Result<void> copy_piece(FdRef from, FdRef to, off_t start, off_t end) {
    off_t read_at = start;
    off_t write_at = start;
    while (read_at < end) {
        const auto left = static_cast<std::size_t>(end - read_at);
        const ssize_t count = copy_file_range(
            from.get(), &read_at, to.get(), &write_at, std::min(left, piece_bytes), 0);
        if (count > 0 || (count < 0 && errno == EINTR)) {
            continue;
        }
        if (count == 0) {
            return ok(); // it shrank
        }
        if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
            return errno_error("copy");
        }
        std::array<char, 128U << 10> buffer{};
        const ssize_t got =
            pread(from.get(), buffer.data(), std::min(left, buffer.size()), read_at);
        if (got <= 0) {
            return got == 0 || errno == EINTR ? ok() : errno_error("read");
        }
        const ssize_t put =
            pwrite(to.get(), buffer.data(), static_cast<std::size_t>(got), write_at);
        if (put < 0) {
            return errno_error("write");
        }
        read_at += put;
        write_at += put;
    }
    return ok();
}

Result<void> copy_data(FdRef from, FdRef to, off_t size) {
    if (size == 0 || ioctl(to.get(), FICLONE, from.get()) == 0) {
        return ok();
    }
    for (off_t at = 0; at < size;) {
        const off_t data = lseek(from.get(), at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            break; // a hole to the end
        }
        const off_t start = data < 0 ? at : data; // or a file system without holes
        const off_t hole = lseek(from.get(), start, SEEK_HOLE);
        const off_t end = hole < 0 ? size : std::min(hole, size);
        TRY(copy_piece(from, to, start, end));
        at = std::max(end, start + 1);
    }
    return ftruncate(to.get(), size) == 0 ? ok() : Result<void>(errno_error("truncate"));
}

class TreeCopy {
  public:
    TreeCopy(FdRef top, OverlayAttributes overlay)
        : top_(top)
        , overlay_(overlay) {}

    Result<void> content(FdRef from, FdRef to, const std::string& path, unsigned depth) {
        if (depth > depth_limit) {
            return Error::from_errno("copying a tree", ELOOP);
        }
        UniqueFd listing(openat(from.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const std::unique_ptr<DIR, int (*)(DIR*)> directory(
            listing ? fdopendir(listing.get()) : nullptr, closedir);
        if (!directory) {
            return errno_error("listing a directory");
        }
        [[maybe_unused]] const int owned = listing.release();
        while (const dirent* entry = readdir(directory.get())) {
            const std::string name = static_cast<const char*>(entry->d_name);
            if (name != "." && name != "..") {
                TRY(copy_entry(from, to, name, path.empty() ? name : path + "/" + name, depth));
            }
        }
        return ok();
    }

  private:
    Result<void> copy_entry(
        FdRef from, FdRef to, const std::string& name, const std::string& path, unsigned depth) {
        struct stat status {};

        if (fstatat(from.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("stat " + name);
        }
        if (S_ISDIR(status.st_mode)) {
            TRY(copy_directory(from, to, name, path, depth));
        } else if (status.st_nlink > 1 && TRY(link(status, to, name, path))) {
            return ok();
        } else if (S_ISREG(status.st_mode)) {
            TRY(copy_file(from, to, name));
        } else if (S_ISLNK(status.st_mode)) {
            TRY(copy_link(from, to, name));
        } else if (mknodat(to.get(), name.c_str(), status.st_mode, status.st_rdev) != 0) {
            return errno_error("mknod " + name);
        }
        return copy_attributes(from, to, name, status);
    }

    Result<void> copy_directory(
        FdRef from, FdRef to, const std::string& name, const std::string& path, unsigned depth) {
        if (mkdirat(to.get(), name.c_str(), 0700) != 0) {
            return errno_error("mkdir " + name);
        }
        constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        const UniqueFd from_child(openat(from.get(), name.c_str(), flags));
        const UniqueFd to_child(openat(to.get(), name.c_str(), flags));
        if (!from_child || !to_child) {
            return errno_error("opening " + name);
        }
        return content(from_child, to_child, path, depth + 1);
    }

    // True when another name of the file is there already. Both lie in what this copy made.
    Result<bool>
    link(const struct stat& status, FdRef to, const std::string& name, const std::string& path) {
        const auto [first, is_new] =
            first_paths_.emplace(std::pair(status.st_dev, status.st_ino), path);
        if (is_new) {
            return false;
        }
        if (linkat(top_.get(), first->second.c_str(), to.get(), name.c_str(), 0) != 0) {
            return errno_error("link " + name);
        }
        return true;
    }

    static Result<void> copy_file(FdRef from_parent, FdRef to_parent, const std::string& name) {
        constexpr int flags = O_NOFOLLOW | O_CLOEXEC;
        const UniqueFd from(openat(from_parent.get(), name.c_str(), flags | O_RDONLY | O_NONBLOCK));
        const UniqueFd to(
            openat(to_parent.get(), name.c_str(), flags | O_WRONLY | O_CREAT | O_EXCL, 0600));
        if (!from || !to) {
            return errno_error("copying " + name);
        }

        struct stat status {};

        if (fstat(from.get(), &status) != 0) {
            return errno_error("stat " + name);
        }
        TRY_CONTEXT(copy_data(from, to, status.st_size), name);
        return ok();
    }

    static Result<void> copy_link(FdRef from, FdRef to, const std::string& name) {
        std::array<char, 4097> target{};
        const ssize_t size = readlinkat(from.get(), name.c_str(), target.data(), target.size() - 1);
        if (size < 0 || symlinkat(target.data(), to.get(), name.c_str()) != 0) {
            return errno_error("copying link " + name);
        }
        return ok();
    }

    // The owner first: a change of it takes set-id bits and capabilities away.
    Result<void> copy_attributes(
        FdRef from, FdRef to, const std::string& name, const struct stat& status) const {
        if (fchownat(to.get(), name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) !=
            0) {
            return errno_error("chown " + name);
        }
        if (!S_ISLNK(status.st_mode) &&
            fchmodat(to.get(), name.c_str(), status.st_mode & 07777, 0) != 0) {
            return errno_error("chmod " + name);
        }
        TRY(copy_xattrs(path_in(from, name), path_in(to, name), overlay_));
        const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
        if (utimensat(to.get(), name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("utimensat " + name);
        }
        return ok();
    }

    FdRef top_;
    OverlayAttributes overlay_;
    std::map<std::pair<dev_t, ino_t>, std::string> first_paths_;
};

} // namespace

Result<void> copy_tree(FdRef from, FdRef to, OverlayAttributes overlay) {
    return TreeCopy(to, overlay).content(from, to, "", 0);
}

Result<void> copy_directory_attributes(FdRef from, FdRef to, OverlayAttributes overlay) {
    struct stat status {};

    if (fstat(from.get(), &status) != 0 || fchown(to.get(), status.st_uid, status.st_gid) != 0 ||
        fchmod(to.get(), status.st_mode & 07777) != 0) {
        return errno_error("copy a directory's owner and mode");
    }
    TRY(copy_xattrs(path_in(from, "."), path_in(to, "."), overlay));
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    return futimens(to.get(), times.data()) == 0 ? ok() : Result<void>(errno_error("set times"));
}

} // namespace berth::engine
