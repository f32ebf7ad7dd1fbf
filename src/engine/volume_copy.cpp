// SPDX-License-Identifier: Apache-2.0
// Copies by descriptor: reflinks where the file system has them, otherwise the kernel copies what
// is data and leaves out the holes. Containers may be at work on both sides: one that runs gets a
// volume, or another one has the volume already.
#include "engine/volume_copy.h"

#include "base/file.h"
#include "kernel/path.h"

#include <linux/fs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// Deeper trees end in ELOOP rather than without descriptors.
constexpr std::size_t copy_depth_limit = 512;
constexpr std::size_t attribute_bytes = 64U << 10;
constexpr std::size_t piece_bytes = 1U << 30;

std::string path_in(FdRef directory, const std::string& name) {
    return kernel::fd_path(directory) + "/" + name;
}

// From a name that is not followed, to a descriptor's (fd_path): files, directories and links
// alike.
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
            setxattr(to.c_str(), name.c_str(), value.data(), static_cast<std::size_t>(size), 0) !=
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
        std::array<char, 32U << 10> buffer{}; // stacks are small
        const ssize_t got =
            pread(from.get(), buffer.data(), std::min(left, buffer.size()), read_at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? ok() : errno_error("read");
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

using DirectoryStream = std::unique_ptr<DIR, int (*)(DIR*)>;

Result<DirectoryStream> open_stream(FdRef parent, const std::string& name) {
    UniqueFd fd(
        openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    DirectoryStream stream(fd ? fdopendir(fd.get()) : nullptr, closedir);
    if (!stream) {
        return errno_error("opening " + name);
    }
    [[maybe_unused]] const int owned = fd.release();
    return stream;
}

// Depth first, with a frame for each directory on the way: stacks are small.
class TreeCopy {
  public:
    TreeCopy(FdRef top, OverlayAttributes overlay)
        : top_(top)
        , overlay_(overlay) {}

    Result<void> run(FdRef from, FdRef to) {
        std::vector<Frame> frames;
        DirectoryStream top = TRY(open_stream(from, "."));
        UniqueFd target(openat(to.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!target) {
            return errno_error("opening a directory");
        }
        frames.push_back(Frame{.stream = std::move(top), .to = std::move(target)});
        while (!frames.empty()) {
            Frame& frame = frames.back();
            const dirent* entry = readdir(frame.stream.get());
            if (entry == nullptr) {
                if (frames.size() > 1) {
                    TRY_CONTEXT(
                        copy_attributes(path_in(frame.from(), "."), frame.to, frame.status),
                        frame.path);
                }
                frames.pop_back();
                continue;
            }
            const std::string name = static_cast<const char*>(entry->d_name);
            if (name == "." || name == "..") {
                continue;
            }
            if (auto child = TRY(visit(frame, name))) {
                if (frames.size() >= copy_depth_limit) {
                    return Error::from_errno("copying a tree", ELOOP);
                }
                frames.push_back(std::move(*child));
            }
        }
        return ok();
    }

  private:
    struct Frame {
        DirectoryStream stream;
        UniqueFd to;
        std::string path;

        struct stat status {};

        FdRef from() const { return FdRef::unowned(dirfd(stream.get())); }
    };

    // A directory's frame; its attributes come when it is done.
    Result<std::optional<Frame>> visit(const Frame& frame, const std::string& name) {
        struct stat status {};

        if (fstatat(frame.from().get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("stat " + name);
        }
        std::string path = frame.path.empty() ? name : frame.path + "/" + name;
        if (S_ISDIR(status.st_mode)) {
            return std::optional(TRY(enter(frame, name, std::move(path), status)));
        }
        if (status.st_nlink > 1 && TRY(link(status, frame.to, name, path))) {
            return std::optional<Frame>();
        }
        UniqueFd made;
        if (S_ISREG(status.st_mode)) {
            made = TRY(copy_file(frame.from(), frame.to, name));
        } else if (S_ISLNK(status.st_mode)) {
            TRY(copy_link(frame.from(), frame.to, name));
        } else if (mknodat(frame.to.get(), name.c_str(), status.st_mode, status.st_rdev) != 0) {
            return errno_error("mknod " + name);
        }
        if (!made) {
            made = UniqueFd(openat(frame.to.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        }
        if (!made) {
            return errno_error("opening " + name);
        }
        TRY_CONTEXT(copy_attributes(path_in(frame.from(), name), made, status), path);
        return std::optional<Frame>();
    }

    static Result<Frame> enter(
        const Frame& frame, const std::string& name, std::string path, const struct stat& status) {
        if (mkdirat(frame.to.get(), name.c_str(), 0700) != 0) {
            return errno_error("mkdir " + name);
        }
        DirectoryStream stream = TRY(open_stream(frame.from(), name));
        UniqueFd to(
            openat(frame.to.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!to) {
            return errno_error("opening " + name);
        }
        return Frame{
            .stream = std::move(stream),
            .to = std::move(to),
            .path = std::move(path),
            .status = status};
    }

    // True when another name of the file is there already. It is walked to without links: somebody
    // else in the volume may have put one in the way, and would get a name of a file of the host.
    Result<bool>
    link(const struct stat& status, FdRef to, const std::string& name, const std::string& path) {
        const auto [first, is_new] =
            first_paths_.emplace(std::pair(status.st_dev, status.st_ino), path);
        if (is_new) {
            return false;
        }
        const UniqueFd there = TRY(kernel::open_in_root(
            top_, first->second, O_PATH | O_NOFOLLOW, 0, kernel::FollowLinks::Never));
        if (linkat(there.get(), "", to.get(), name.c_str(), AT_EMPTY_PATH) != 0) {
            return errno_error("link " + name);
        }
        return true;
    }

    // The file that it has made. What is read is looked at before it is opened: to open a device is
    // to do something with it.
    static Result<UniqueFd> copy_file(FdRef from_parent, FdRef to_parent, const std::string& name) {
        constexpr int flags = O_NOFOLLOW | O_CLOEXEC;
        const UniqueFd place(openat(from_parent.get(), name.c_str(), flags | O_PATH));

        struct stat status {};

        if (!place || fstat(place.get(), &status) != 0) {
            return errno_error("stat " + name);
        }
        if (!S_ISREG(status.st_mode)) {
            return conflict(name + " was exchanged while it was copied");
        }
        const UniqueFd from = TRY(open_file(kernel::fd_path(place), O_RDONLY));
        UniqueFd to(
            openat(to_parent.get(), name.c_str(), flags | O_WRONLY | O_CREAT | O_EXCL, 0600));
        if (!to) {
            return errno_error("copying " + name);
        }
        TRY_CONTEXT(copy_data(from, to, status.st_size), name);
        return to;
    }

    static Result<void> copy_link(FdRef from, FdRef to, const std::string& name) {
        std::array<char, 4097> target{};
        const ssize_t size = readlinkat(from.get(), name.c_str(), target.data(), target.size() - 1);
        if (size < 0 || symlinkat(target.data(), to.get(), name.c_str()) != 0) {
            return errno_error("copying link " + name);
        }
        return ok();
    }

    // To what was made and no other: it has its descriptor. The owner first: a change of it takes
    // set-id bits and capabilities away.
    Result<void>
    copy_attributes(const std::string& from, FdRef made, const struct stat& status) const {
        const std::string itself = kernel::fd_path(made);
        if (fchownat(made.get(), "", status.st_uid, status.st_gid, AT_EMPTY_PATH) != 0) {
            return errno_error("chown");
        }
        if (!S_ISLNK(status.st_mode) && chmod(itself.c_str(), status.st_mode & 07777) != 0) {
            return errno_error("chmod");
        }
        TRY(copy_xattrs(from, itself, overlay_));
        const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
        if (utimensat(made.get(), "", times.data(), AT_EMPTY_PATH) != 0) {
            return errno_error("utimensat");
        }
        return ok();
    }

    FdRef top_;
    OverlayAttributes overlay_;
    std::map<std::pair<dev_t, ino_t>, std::string> first_paths_;
};

} // namespace

Result<void> copy_tree(FdRef from, FdRef to, OverlayAttributes overlay) {
    return TreeCopy(to, overlay).run(from, to);
}

Result<void> copy_directory_attributes(FdRef from, FdRef to, OverlayAttributes overlay) {
    struct stat status {};

    if (fstat(from.get(), &status) != 0 || fchown(to.get(), status.st_uid, status.st_gid) != 0 ||
        fchmod(to.get(), status.st_mode & 07777) != 0) {
        return errno_error("copy a directory's owner and mode");
    }
    TRY(copy_xattrs(path_in(from, "."), kernel::fd_path(to), overlay));
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    return futimens(to.get(), times.data()) == 0 ? ok() : Result<void>(errno_error("set times"));
}

} // namespace berth::engine
