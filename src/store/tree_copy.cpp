// SPDX-License-Identifier: Apache-2.0
// Copying a merged tree, by descriptor on both sides; file data is shared where the file system can
// (reflink), else copied by the kernel.
#include "store/tree_copy.h"

#include "base/file.h"
#include "codec/stream.h"
#include "store/disk_error.h"
#include "store/tree_removal.h"

#include <linux/fs.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store {

namespace {

struct CopyFrame {
    MergedDirectory source; // below the root, the target gets its metadata at the end
    DirectorySet target;    // of one
    std::vector<std::string> names;
    std::size_t next = 0;
    std::string path;

    void close() {
        source.close();
        target.close();
    }

    Result<void> reopen() {
        TRY(source.reopen());
        return target.reopen();
    }
};

// Not overlayfs's.
erofs::Attributes attributes_of(const std::string& path) {
    erofs::Attributes attributes;
    ssize_t size = llistxattr(path.c_str(), nullptr, 0);
    if (size <= 0) {
        return attributes;
    }
    std::string names(static_cast<std::size_t>(size), '\0');
    size = llistxattr(path.c_str(), names.data(), names.size());
    names.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    std::string value(64U << 10, '\0');
    for (std::size_t start = 0; start < names.size();) {
        std::string name = names.c_str() + start;
        start += name.size() + 1;
        if (is_overlay_attribute(name)) {
            continue;
        }
        ssize_t length = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        if (length >= 0) {
            attributes[std::move(name)] = value.substr(0, static_cast<std::size_t>(length));
        }
    }
    return attributes;
}

Result<void> copy_attributes(const std::string& from, const std::string& to) {
    for (const auto& [name, value] : attributes_of(from)) {
        if (lsetxattr(to.c_str(), name.c_str(), value.data(), value.size(), 0) != 0 &&
            errno != ENOTSUP && errno != EPERM) {
            return disk_error(errno_error("set attribute " + name));
        }
    }
    return ok();
}

Result<void> copy_data(FdRef from, FdRef to, std::uint64_t size) {
    if (size == 0 || ioctl(to.get(), FICLONE, from.get()) == 0) {
        return ok();
    }
    for (;;) {
        ssize_t count = copy_file_range(from.get(), nullptr, to.get(), nullptr, 1U << 30, 0);
        if (count == 0) {
            return ok();
        }
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
            break;
        }
        if (count < 0) {
            return disk_error(errno_error("copy"));
        }
    }
    FdSource source(from);
    FdSink sink(to);
    TRY(disk_result(copy(source, sink)));
    return ok();
}

// Before a layer's directory comes to lie on one that is there: the layer's attributes replace its.
Result<void> drop_attributes(FdRef directory) {
    for (const auto& [name, value] : attributes_of(descriptor_path(directory, "."))) {
        if (fremovexattr(directory.get(), name.c_str()) != 0 && errno != ENODATA &&
            errno != ENOTSUP && errno != EPERM && errno != EACCES) {
            return disk_error(errno_error("remove attribute " + name));
        }
    }
    return ok();
}

// What the layer's directory hides in the one below goes.
Result<void> remove_hidden(FdRef layer, FdRef target) {
    if (TRY(is_opaque(layer))) {
        for (const std::string& name : TRY(directory_names(target))) {
            TRY(disk_result(remove_tree_at(target, name)));
        }
        return ok();
    }
    for (const std::string& name : TRY(directory_names(layer))) {
        struct stat status {};

        if (fstatat(layer.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("stat " + name);
        }
        if (is_whiteout(status)) {
            TRY(disk_result(remove_tree_at(target, name)));
        }
    }
    return ok();
}

enum class Target : std::uint8_t { Empty, Filled };

class TreeCopy {
  public:
    explicit TreeCopy(Target state)
        : filled_(state == Target::Filled) {}

    Result<void> run(MergedDirectory source, const std::string& target) {
        std::vector<CopyFrame> frames;
        UniqueFd directory = TRY(open_file(target, O_RDONLY | O_DIRECTORY));
        root_ = TRY(directory.duplicate());
        frames.emplace_back().source = std::move(source);
        TRY(frames[0].target.add_root(std::move(directory)));
        if (filled_) {
            TRY(remove_hidden(*frames[0].source.top(), root_));
        }
        frames[0].names = TRY(frames[0].source.names());
        while (!frames.empty()) {
            CopyFrame& frame = frames.back();
            TRY(frame.reopen());
            if (frame.next == frame.names.size()) {
                TRY(finish(frame));
                frames.pop_back();
                continue;
            }
            std::optional<CopyFrame> child = TRY(visit(frame, frame.names[frame.next++]));
            if (child) {
                if (frames.size() >= tree_depth_limit) {
                    return Error(
                        ErrorKind::ResourceExhausted, "directories are nested too deep to copy");
                }
                frames.push_back(std::move(*child));
                close_far(frames);
            }
        }
        return ok();
    }

  private:
    static Result<void> finish(const CopyFrame& frame) {
        return frame.path.empty() ? ok()
                                  : copy_directory_metadata(*frame.source.top(), frame.target[0]);
    }

    Result<std::optional<CopyFrame>> visit(CopyFrame& frame, const std::string& name) {
        std::optional<MergedDirectory::Entry> entry = TRY(frame.source.find(name));
        VERIFY(entry.has_value());
        const struct stat& status = entry->status;
        std::string path = frame.path.empty() ? name : frame.path + "/" + name;
        if (!S_ISDIR(status.st_mode)) {
            if (filled_) {
                TRY_CONTEXT(disk_result(remove_tree_at(frame.target[0], name)), path);
            }
            TRY_CONTEXT(copy_entry(*entry, name, frame.target[0], path), path);
            return std::optional<CopyFrame>();
        }
        CopyFrame child;
        child.source = TRY(frame.source.child(name));
        if (child.source.empty()) {
            return internal_error(path + " went away while it was copied");
        }
        child.target = frame.target.below(name);
        child.target.add(frame.target, 0, TRY(enter(frame.target[0], name, child.source, path)));
        child.names = TRY(child.source.names());
        child.path = std::move(path);
        return std::optional(std::move(child));
    }

    // The directory of that name, made where there is none.
    Result<UniqueFd> enter(
        FdRef target,
        const std::string& name,
        const MergedDirectory& source,
        const std::string& path) const {
        constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        if (filled_) {
            UniqueFd there(openat(target.get(), name.c_str(), flags));
            if (there) {
                TRY_CONTEXT(remove_hidden(*source.top(), there), path);
                TRY_CONTEXT(drop_attributes(there), path);
                return there;
            }
            TRY_CONTEXT(disk_result(remove_tree_at(target, name)), path);
        }
        if (mkdirat(target.get(), name.c_str(), 0700) != 0) {
            return disk_error(errno_error("mkdir " + path));
        }
        UniqueFd made(openat(target.get(), name.c_str(), flags));
        return made ? Result(std::move(made)) : errno_error("open " + path);
    }

    Result<void> copy_entry(
        const MergedDirectory::Entry& entry,
        const std::string& name,
        FdRef target,
        const std::string& path) {
        const struct stat& status = entry.status;
        if (status.st_nlink > 1) {
            auto [first, is_new] =
                first_paths_.emplace(std::pair(status.st_dev, status.st_ino), path);
            if (!is_new) {
                // Both ends were made by this copy; no link of the image is on the way.
                if (linkat(root_.get(), first->second.c_str(), target.get(), name.c_str(), 0) !=
                    0) {
                    return disk_error(errno_error("link"));
                }
                return ok();
            }
        }
        if (S_ISREG(status.st_mode)) {
            UniqueFd from(
                openat(entry.directory->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
            UniqueFd to(
                openat(target.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
            if (!from || !to) {
                return disk_error(errno_error("open"));
            }
            TRY(copy_data(from, to, static_cast<std::uint64_t>(status.st_size)));
        } else if (S_ISLNK(status.st_mode)) {
            std::string link(PATH_MAX, '\0');
            ssize_t size =
                readlinkat(entry.directory->get(), name.c_str(), link.data(), link.size());
            if (size < 0) {
                return errno_error("read link");
            }
            link.resize(static_cast<std::size_t>(size));
            if (symlinkat(link.c_str(), target.get(), name.c_str()) != 0) {
                return disk_error(errno_error("symlink"));
            }
        } else if (
            mknodat(target.get(), name.c_str(), status.st_mode & ~mode_t{07777}, status.st_rdev) !=
            0) {
            return disk_error(errno_error("mknod"));
        }
        return copy_metadata(entry, name, target);
    }

    static Result<void>
    copy_metadata(const MergedDirectory::Entry& entry, const std::string& name, FdRef target) {
        const struct stat& status = entry.status;
        const char* place = name.c_str();
        if (fchownat(target.get(), place, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("chown");
        }
        if (!S_ISLNK(status.st_mode) &&
            fchmodat(target.get(), place, status.st_mode & 07777, 0) != 0) {
            return errno_error("chmod");
        }
        TRY(copy_attributes(
            descriptor_path(*entry.directory, name), descriptor_path(target, name)));
        timespec times[2] = {status.st_mtim, status.st_mtim};
        if (utimensat(target.get(), place, times, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("set times");
        }
        return ok();
    }

    bool filled_;
    UniqueFd root_;
    std::map<std::pair<dev_t, ino_t>, std::string> first_paths_;
};

} // namespace

Result<void> copy_directory_metadata(FdRef from, FdRef to) {
    struct stat status {};

    if (fstat(from.get(), &status) != 0 || fchown(to.get(), status.st_uid, status.st_gid) != 0 ||
        fchmod(to.get(), status.st_mode & 07777) != 0) {
        return errno_error("copy a directory's owner and mode");
    }
    TRY(copy_attributes(descriptor_path(from, "."), descriptor_path(to, ".")));
    timespec times[2] = {status.st_mtim, status.st_mtim};
    if (futimens(to.get(), times) != 0) {
        return errno_error("set times");
    }
    return ok();
}

Result<erofs::Metadata> directory_metadata(FdRef directory) {
    struct stat status {};

    if (fstat(directory.get(), &status) != 0) {
        return errno_error("stat");
    }
    constexpr std::int64_t second = 1'000'000'000;
    return erofs::Metadata{
        .mode = static_cast<std::uint16_t>(status.st_mode),
        .uid = status.st_uid,
        .gid = status.st_gid,
        .mtime = status.st_mtim.tv_sec * second + status.st_mtim.tv_nsec,
        .attributes = attributes_of(descriptor_path(directory, "."))};
}

Result<void> copy_merged_tree(MergedDirectory source, const std::string& target) {
    return TreeCopy(Target::Empty).run(std::move(source), target);
}

Result<void> apply_layer(const std::string& layer, const std::string& target) {
    const std::vector<std::string> one{layer};
    MergedDirectory source = TRY(MergedDirectory::open(one));
    UniqueFd from = TRY(source.top()->duplicate());
    TRY(TreeCopy(Target::Filled).run(std::move(source), target));
    UniqueFd to = TRY(open_file(target, O_RDONLY | O_DIRECTORY));
    TRY(drop_attributes(to));
    return copy_directory_metadata(from, to);
}

} // namespace berth::store
