// SPDX-License-Identifier: Apache-2.0
// setns(2) into a mount namespace is for threads that share nothing of their file system view with
// others, so each call has a thread of its own, which ends with it: the rest of the program never
// leaves its own namespace. Paths of ours, /proc for one, mean nothing there; descriptors do.
#include "runtime/late_mount.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/mount.h"
#include "kernel/path.h"
#include "runtime/container_mounts.h"
#include "runtime/mount_options.h"

#include <linux/magic.h>

#include <cerrno>
#include <functional>
#include <map>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::size_t mount_list_limit = 64U << 20;

// Inside of the container's mount namespace.
struct Inside {
    UniqueFd root; // the container's
    UniqueFd self; // /proc/thread-self of the host, for this thread
};

using Work = std::function<Result<void>(const Inside& inside)>;

Result<void> enter(FdRef mount_namespace, const Work& work) {
    Inside inside;
    inside.self = TRY(open_file("/proc/thread-self", O_PATH | O_DIRECTORY));
    // SAFETY: this thread was made for the call and ends with it; CLONE_FS gives it a root and a
    // working directory of its own, which setns(2) asks for and then changes.
    if (::unshare(CLONE_FS) != 0 || ::setns(mount_namespace.get(), CLONE_NEWNS) != 0) {
        return errno_error("enter the container's mount namespace");
    }
    inside.root = TRY(open_file("/", O_PATH | O_DIRECTORY));
    return work(inside);
}

Result<void> in_namespace(FdRef mount_namespace, const Work& work) {
    Result<void> result;
    std::thread([&] { result = enter(mount_namespace, work); }).join();
    return result;
}

struct MountEntry {
    std::uint64_t parent = 0;
    bool is_shared = false;
    std::string type;
};

// https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
Result<std::map<std::uint64_t, MountEntry>> mount_list(const Inside& inside) {
    const UniqueFd file(::openat(inside.self.get(), "mountinfo", O_RDONLY | O_CLOEXEC));
    if (!file) {
        return errno_error("open mountinfo");
    }
    const std::string text = TRY(read_all(file, mount_list_limit));
    std::map<std::uint64_t, MountEntry> mounts;
    for (std::string_view line : split(text, '\n')) {
        const std::optional<Cut> halves = cut(line, " - ");
        if (!halves) {
            continue;
        }
        const std::vector<std::string_view> fields = words(halves->before);
        if (fields.size() < 6) {
            continue;
        }
        MountEntry entry;
        entry.parent = TRY(parse_number<std::uint64_t>(fields[1]));
        entry.is_shared = halves->before.find(" shared:") != std::string_view::npos;
        entry.type = halves->after.substr(0, halves->after.find(' '));
        mounts.emplace(TRY(parse_number<std::uint64_t>(fields[0])), std::move(entry));
    }
    return mounts;
}

struct Place {
    std::uint64_t mount_id = 0;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool is_directory = false;
    bool is_mount_root = false;
};

Result<Place> place_of(FdRef fd) {
    struct statx status {};

    if (::statx(
            fd.get(),
            "",
            AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
            STATX_TYPE | STATX_INO | STATX_MNT_ID,
            &status) != 0) {
        return errno_error("stat");
    }
    return Place{
        .mount_id = status.stx_mnt_id,
        .device = (std::uint64_t{status.stx_dev_major} << 32) | status.stx_dev_minor,
        .inode = status.stx_ino,
        .is_directory = S_ISDIR(status.stx_mode),
        .is_mount_root = (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0};
}

Result<UniqueFd> make_place(const UniqueFd& root, const std::string& path, bool is_directory) {
    return is_directory ? kernel::make_directories_in_root(root, path)
                        : open_file_target(root, path);
}

Result<std::string> checked(const std::string& destination) {
    std::string path = clean_path(destination);
    if (!destination.starts_with('/') || path == "/") {
        return invalid_argument("mount destination \"" + destination + "\" is not a path below /");
    }
    return path;
}

bool protects(const MountEntry& entry) {
    return entry.type == "proc" || entry.type == "sysfs";
}

} // namespace

// Where the root is read-only a copy of its mount that is not gets the missing directories.
Result<UniqueFd>
ensure_mount_point(const UniqueFd& root, const std::string& path, bool is_directory) {
    auto there = kernel::open_in_root(root, path, O_PATH);
    if (there.ok() || there.error().error_number() != ENOENT) {
        return there;
    }
    auto made = make_place(root, path, is_directory);
    if (made.ok() || made.error().error_number() != EROFS) {
        return made;
    }
    const UniqueFd writable = TRY(kernel::clone_mount(root, kernel::Recursive::No));
    TRY(kernel::set_mount_attributes(
        writable, {.clear = MOUNT_ATTR_RDONLY}, kernel::Recursive::No));
    TRY(make_place(writable, path, is_directory));
    return kernel::open_in_root(root, path, O_PATH);
}

Result<LateMount> make_late_mount(const oci::Mount& mount, const std::string& label) {
    oci::RuntimeConfig config;
    config.mounts.push_back(mount);
    const std::string nowhere;
    const std::vector<JoinedNamespace> joined;
    std::vector<PreparedMount> prepared =
        TRY(prepare_mounts(config, {.bundle = nowhere, .joined = joined}));
    PreparedMount& only = prepared.front();
    if (only.options.bind) {
        return LateMount{.mount = std::move(only.source), .is_directory = only.is_directory};
    }
    std::vector<kernel::MountParameter> parameters = only.options.flags;
    parameters.insert(
        parameters.end(), only.options.parameters.begin(), only.options.parameters.end());
    add_label(parameters, mount.type, label);
    LateMount made;
    made.mount =
        TRY(kernel::make_mount(mount.type, mount.source, parameters, only.options.attributes.set));
    return made;
}

Result<void> attach_late_mount(
    FdRef mount_namespace,
    const LateMount& mount,
    const std::string& destination,
    const kernel::FileMaker& maker) {
    const std::string path = TRY(checked(destination));
    return in_namespace(mount_namespace, [&](const Inside& inside) -> Result<void> {
        TRY(kernel::make_files_as(maker));
        const UniqueFd target = TRY_CONTEXT(
            ensure_mount_point(inside.root, path, mount.is_directory), "mount point " + path);
        const Place place = TRY(place_of(target));
        const Place root = TRY(place_of(inside.root));
        if (place.is_directory != mount.is_directory) {
            return invalid_argument(
                "mount point " + path +
                ": not a directory: a directory can only be mounted on a "
                "directory, and a file on a file");
        }
        if (place.mount_id == root.mount_id && place.inode == root.inode) {
            return invalid_argument("mount point " + path + " leads to the root");
        }
        const auto mounts = TRY(mount_list(inside));
        const auto below = mounts.find(place.mount_id);
        if (below == mounts.end() || TRY(is_procfs(target)) || below->second.type == "proc") {
            return invalid_argument("mount point " + path + " is inside /proc");
        }
        // What is mounted there would come to the host.
        if (below->second.is_shared) {
            return invalid_argument(
                "mount point " + path + " lies in a mount that is shared with the host");
        }
        return kernel::attach_mount(mount.mount, target);
    });
}

Result<void>
detach_late_mount(FdRef mount_namespace, const std::string& destination, const UniqueFd& expected) {
    const std::string path = TRY(checked(destination));
    std::optional<Place> wanted;
    if (expected) {
        wanted = TRY(place_of(expected));
    }
    return in_namespace(mount_namespace, [&](const Inside& inside) -> Result<void> {
        const auto target = kernel::open_in_root(inside.root, path, O_PATH);
        const auto nothing = [&] {
            return not_found("nothing that was mounted for the container is at " + path);
        };
        if (!target.ok()) {
            return nothing();
        }
        const Place place = TRY(place_of(*target));
        const auto mounts = TRY(mount_list(inside));
        const auto there = mounts.find(place.mount_id);
        if (!place.is_mount_root || there == mounts.end()) {
            return nothing();
        }
        // A container can exchange what leads to its mounts, and so send us to a mask of /proc, or
        // to a mount of the host's that it sees, which would go from there, too.
        const auto parent = mounts.find(there->second.parent);
        if (parent == mounts.end() || protects(parent->second) || protects(there->second) ||
            parent->second.is_shared ||
            (wanted && (wanted->device != place.device || wanted->inode != place.inode))) {
            return nothing();
        }
        // The descriptor's name in our /proc: a path of the container would be walked again.
        const UniqueFd names(::openat(inside.self.get(), "fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!names || ::fchdir(names.get()) != 0 ||
            ::umount2(std::to_string(target->get()).c_str(), MNT_DETACH) != 0) {
            return errno_error("unmount " + path);
        }
        return ok();
    });
}

Result<LateMount> clone_container_tmpfs(FdRef mount_namespace, const std::string& destination) {
    const std::string path = TRY(checked(destination));
    LateMount copy;
    auto copied = in_namespace(mount_namespace, [&](const Inside& inside) -> Result<void> {
        const auto nothing = [&] { return not_found("no tmpfs is at " + path); };
        const auto place = kernel::open_in_root(inside.root, path, O_PATH | O_DIRECTORY);

        struct statfs status {};

        if (!place.ok() || ::fstatfs(place->get(), &status) != 0 || status.f_type != TMPFS_MAGIC ||
            !TRY(place_of(*place)).is_mount_root) {
            return nothing();
        }
        copy.mount = TRY(kernel::clone_mount(*place, kernel::Recursive::No));
        return kernel::set_mount_attributes(
            copy.mount, {.propagation = MS_PRIVATE}, kernel::Recursive::No);
    });
    TRY(std::move(copied));
    return copy;
}

} // namespace berth::runtime
