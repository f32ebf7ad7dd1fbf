// SPDX-License-Identifier: Apache-2.0
// Destinations are attacker input: the image may have links anywhere, and a process of another
// container may exchange directories of a shared volume while we work. So each destination is
// opened once, below the root, and the mount is attached to that descriptor.
#include "runtime/container_mounts.h"

#include "base/strings.h"
#include "kernel/path.h"
#include "runtime/cgroup_mount.h"
#include "runtime/copy_up.h"

#include <linux/magic.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

// What may be mounted over inside of /proc: files that lxcfs emulates (runc: checkProcMount).
constexpr auto replaceable_proc_files = std::to_array<std::string_view>(
    {"/proc/cpuinfo",
     "/proc/diskstats",
     "/proc/meminfo",
     "/proc/stat",
     "/proc/swaps",
     "/proc/uptime",
     "/proc/loadavg",
     "/proc/slabinfo",
     "/proc/net/dev",
     "/proc/sys/kernel/ns_last_pid",
     "/proc/sys/crypto/fips_enabled"});

Result<void> copy_link(const PreparedMount& prepared, const UniqueFd& root) {
    const std::string destination = clean_path(prepared.mount->destination);
    TRY(kernel::make_directories_in_root(root, destination.substr(0, destination.rfind('/') + 1)));
    kernel::ParentAndName place = TRY(kernel::open_parent_in_root(root, destination));
    if (::symlinkat(prepared.link_target.c_str(), place.parent.get(), place.name.c_str()) < 0) {
        const int number = errno;
        std::string there(prepared.link_target.size() + 1, '\0');
        ssize_t size =
            ::readlinkat(place.parent.get(), place.name.c_str(), there.data(), there.size());
        there.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        if (there != prepared.link_target) {
            return Error::from_errno("make link " + destination, number);
        }
    }
    return ok();
}

bool has_parameter(const std::vector<kernel::MountParameter>& parameters, std::string_view key) {
    return std::any_of(parameters.begin(), parameters.end(), [&](const auto& parameter) {
        return parameter.key == key;
    });
}

} // namespace

Result<bool> is_procfs(FdRef place) {
    struct statfs system {};

    if (::fstatfs(place.get(), &system) < 0) {
        return errno_error("statfs");
    }
    return system.f_type == PROC_SUPER_MAGIC;
}

// As runc does it: procfs and sysfs have labels of their own, and mqueue takes none as an option.
void add_label(
    std::vector<kernel::MountParameter>& parameters,
    const std::string& type,
    const std::string& label) {
    const bool takes_label = type != "proc" && type != "sysfs" && type != "mqueue";
    if (!label.empty() && takes_label && !has_parameter(parameters, "context")) {
        parameters.push_back({"context", label});
    }
}

namespace {

// CVE-2019-16884, CVE-2019-19921: nothing of an image or a volume may pose as procfs.
Result<void> check_proc_destination(const PreparedMount& prepared, FdRef target) {
    std::string destination = clean_path(prepared.mount->destination);
    auto refuse = [&](const std::string& why) {
        return invalid_argument("\"" + destination + "\" cannot be mounted because it " + why);
    };
    if (prepared.options.remount) {
        return ok();
    }
    if (destination == "/proc") {
        const bool is_procfs =
            prepared.options.bind ? prepared.is_procfs : prepared.mount->type == "proc";
        return is_procfs ? ok() : Result<void>(refuse("is not of type proc"));
    }
    if (!TRY(is_procfs(target))) {
        return ok();
    }
    bool replaceable =
        std::find(replaceable_proc_files.begin(), replaceable_proc_files.end(), destination) !=
        replaceable_proc_files.end();
    return replaceable ? ok() : Result<void>(refuse("is inside /proc"));
}

// A link at the end of the path is the place itself.
Result<UniqueFd> open_link_target(const PreparedMount& prepared, const UniqueFd& root) {
    const std::string& destination = prepared.mount->destination;
    Result<UniqueFd> place = kernel::open_in_root(
        root, destination, O_PATH | O_NOFOLLOW, 0, kernel::FollowLinks::NotLast);
    if (place.ok() || place.error().error_number() != ENOENT) {
        return place;
    }
    return prepared.is_directory ? kernel::make_directories_in_root(root, destination)
                                 : open_file_target(root, destination);
}

Result<UniqueFd> open_target(const PreparedMount& prepared, const UniqueFd& root) {
    const std::string& destination = prepared.mount->destination;
    const std::string& type = prepared.mount->type;
    if (prepared.options.remount) {
        return kernel::open_in_root(root, destination, O_PATH);
    }
    if (!prepared.options.bind && (type == "proc" || type == "sysfs")) {
        // A linked /proc or /sys would put the masks elsewhere.
        TRY(kernel::make_directories_in_root(root, destination));
        Result<UniqueFd> place = kernel::open_in_root(
            root, destination, O_PATH | O_DIRECTORY, 0, kernel::FollowLinks::Never);
        if (!place.ok()) {
            return std::move(place)
                .error()
                .as(ErrorKind::InvalidArgument)
                .with_context("filesystem \"" + type + "\" must be mounted on ordinary directory");
        }
        return place;
    }
    if (prepared.options.destination_is_link) {
        return open_link_target(prepared, root);
    }
    return prepared.is_directory ? kernel::make_directories_in_root(root, destination)
                                 : open_file_target(root, destination);
}

// A tmpfs over a directory of the image looks like it (runc): /tmp stays 1777.
Result<void> add_mode(
    std::vector<kernel::MountParameter>& parameters,
    const UniqueFd& root,
    const std::string& path) {
    if (has_parameter(parameters, "mode")) {
        return ok();
    }
    Result<UniqueFd> before = kernel::open_in_root(root, path, O_PATH | O_DIRECTORY);

    struct stat status {};

    if (!before.ok() || ::fstat(before->get(), &status) < 0) {
        return ok(); // it is about to be made
    }
    std::array<char, 8> octal{};
    auto end = std::to_chars(octal.begin(), octal.end(), status.st_mode & 07777U, 8);
    parameters.push_back({"mode", std::string(octal.begin(), end.ptr)});
    return ok();
}

// What goes to the file system itself.
Result<std::vector<kernel::MountParameter>>
parameters_of(const PreparedMount& prepared, const MountContext& context) {
    const oci::Mount& mount = *prepared.mount;
    std::vector<kernel::MountParameter> parameters = prepared.options.flags;
    parameters.insert(
        parameters.end(), prepared.options.parameters.begin(), prepared.options.parameters.end());
    constexpr auto attribute_only =
        std::to_array<std::string_view>({"proc", "sysfs", "tmpfs", "devpts", "mqueue"});
    if ((prepared.options.attributes.set & MOUNT_ATTR_RDONLY) != 0 &&
        std::find(attribute_only.begin(), attribute_only.end(), mount.type) ==
            attribute_only.end()) {
        parameters.push_back({"ro", ""}); // a disk must not be written
    }
    if (mount.type == "tmpfs") {
        TRY(add_mode(parameters, context.root, mount.destination));
    }
    add_label(parameters, mount.type, context.label);
    return parameters;
}

struct NewMount {
    const PreparedMount& prepared;
    std::vector<kernel::MountParameter> parameters;
    std::uint64_t attributes = 0;
};

// Mounts an own instance of a file system and attaches it.
Result<UniqueFd> mount_new(const NewMount& wanted, FdRef target, const std::string& label) {
    const oci::Mount& mount = *wanted.prepared.mount;
    const bool copy_up = wanted.prepared.options.copy_up;
    constexpr std::uint64_t readonly = MOUNT_ATTR_RDONLY;
    UniqueFd made = TRY(kernel::make_mount(
        mount.type,
        mount.source,
        wanted.parameters,
        copy_up ? wanted.attributes & ~readonly : wanted.attributes));
    if (copy_up) {
        TRY(copy_up_tree(target, made));
        if ((wanted.attributes & readonly) != 0) {
            TRY(kernel::set_mount_attributes(made, {.set = readonly}, kernel::Recursive::No));
        }
    }
    TRY(kernel::attach_mount(made, target));
    if (!label.empty() && mount.type == "mqueue" &&
        ::setxattr(
            kernel::fd_path(made).c_str(), "security.selinux", label.c_str(), label.size() + 1, 0) <
            0) {
        return errno_error("label");
    }
    for (const Propagation& entry : wanted.prepared.options.propagation) {
        TRY(kernel::set_mount_attributes(made, {.propagation = entry.type}, entry.recursive));
    }
    return made;
}

Result<void> remount(const PreparedMount& prepared, const UniqueFd& target) {
    const MountOptions& options = prepared.options;
    constexpr std::uint64_t readonly = MOUNT_ATTR_RDONLY;
    std::vector<kernel::MountParameter> parameters = options.flags;
    parameters.insert(parameters.end(), options.parameters.begin(), options.parameters.end());
    if ((options.attributes.set & readonly) != 0) {
        parameters.push_back({"ro", ""});
    } else if ((options.attributes.clear & readonly) != 0) {
        parameters.push_back({"rw", ""});
    }
    // With "bind" it is about this mount, without it about the file system too.
    if (!options.bind && !parameters.empty()) {
        TRY(kernel::reconfigure_mount(target, parameters));
    }
    return apply_options(target, options);
}

// On a host with version 1 or both: the container's group of the unified hierarchy alone.
Result<bool>
mount_unified_group(const PreparedMount& prepared, const MountContext& context, FdRef target) {
    const kernel::CgroupLayout& layout = *TRY(kernel::cgroup_layout());
    if (prepared.mount->type != "cgroup2" || layout.mode == kernel::CgroupMode::Version2) {
        return false;
    }
    const std::uint64_t attributes = prepared.options.attributes.set;
    if (context.own_cgroup_namespace) {
        UniqueFd made = TRY(kernel::make_mount("cgroup2", "cgroup", {}, attributes));
        TRY(kernel::attach_mount(made, target));
        return true;
    }
    auto group = context.cgroup.directories().find("");
    if (group == context.cgroup.directories().end()) {
        return Error(ErrorKind::Unavailable, "this host has no cgroup version 2");
    }
    UniqueFd made = TRY(bind_group(prepared.groups, group->second, attributes));
    TRY(kernel::attach_mount(made, target));
    return true;
}

// Of a file and a directory the kernel says no more than "invalid argument".
Result<void> attach_bind(FdRef source, FdRef target) {
    Result<void> attached = kernel::attach_mount(source, target);

    struct stat from {};

    struct stat to {};

    if (!attached.ok() && attached.error().error_number() == EINVAL &&
        ::fstat(source.get(), &from) == 0 && ::fstat(target.get(), &to) == 0 &&
        S_ISDIR(from.st_mode) != S_ISDIR(to.st_mode)) {
        return Error::from_errno("attach mount", ENOTDIR);
    }
    return attached;
}

Result<void>
mount_one(const PreparedMount& prepared, const MountContext& context, MountedPlaces& places) {
    const oci::Mount& mount = *prepared.mount;
    const std::string destination = clean_path(mount.destination);
    if (!mount.destination.starts_with('/') || destination == "/") {
        return invalid_argument(
            "mount destination \"" + mount.destination + "\" is not a path below /");
    }
    if (!prepared.link_target.empty()) {
        return copy_link(prepared, context.root);
    }
    NewMount made_new{.prepared = prepared, .parameters = {}};
    if (!prepared.options.bind && !prepared.options.remount) {
        made_new.parameters = TRY(parameters_of(prepared, context));
    }
    UniqueFd target = TRY(open_target(prepared, context.root));
    TRY(check_proc_destination(prepared, target));
    const bool fixed = destination == "/proc" || destination == "/sys";
    if (prepared.options.remount) {
        return remount(prepared, target);
    }
    if (prepared.options.bind) {
        places.dev_is_bind = places.dev_is_bind || destination == "/dev";
        if (fixed) {
            UniqueFd source = TRY(prepared.source.duplicate());
            places.fixed.push_back({destination, std::move(source)});
        }
        return attach_bind(prepared.source, target);
    }
    made_new.attributes =
        prepared.options.attributes.set | prepared.options.recursive_attributes.set;
    if (mount.type == "cgroup" || mount.type == "cgroup2") {
        if (TRY(mount_unified_group(prepared, context, target))) {
            return ok();
        }
        std::vector<UniqueFd> made = TRY(mount_cgroups(
            target,
            {.cgroup = context.cgroup,
             .groups = prepared.groups,
             .own_namespace = context.own_cgroup_namespace,
             .attributes = made_new.attributes}));
        std::move(made.begin(), made.end(), std::back_inserter(places.make_readonly));
        return ok();
    }
    // /dev gets its devices first.
    const bool later = destination == "/dev" && (made_new.attributes & MOUNT_ATTR_RDONLY) != 0;
    if (later) {
        made_new.attributes &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
    }
    UniqueFd made = TRY(mount_new(made_new, target, context.label));
    if (later) {
        places.make_readonly.push_back(TRY(made.duplicate()));
    }
    if (mount.type == "devpts" && destination == "/dev/pts") {
        places.devpts = std::move(made);
    } else if (fixed) {
        places.fixed.push_back({destination, std::move(made)});
    }
    return ok();
}

} // namespace

// CVE-2019-19921, CVE-2023-27561: with /proc exchanged for a link just now the masks would go
// elsewhere, and /proc come back without them.
Result<UniqueFd>
open_place(const UniqueFd& root, const std::vector<FixedPlace>& fixed, const std::string& path) {
    const std::string clean = clean_path("/" + path);
    for (auto place = fixed.rbegin(); place != fixed.rend(); ++place) {
        if (clean.starts_with(place->path + "/")) {
            return kernel::open_in_root(place->mount, clean.substr(place->path.size()), O_PATH);
        }
    }
    return kernel::open_in_root(root, path, O_PATH);
}

Result<UniqueFd> open_file_target(const UniqueFd& root, const std::string& path) {
    Result<UniqueFd> there = kernel::open_in_root(root, path, O_PATH);
    if (there.ok() || there.error().error_number() != ENOENT) {
        return there;
    }
    std::string clean = clean_path(path);
    std::optional<Cut> parts = cut_last(clean, "/");
    if (parts && !parts->before.empty()) {
        TRY(kernel::make_directories_in_root(root, parts->before));
    }
    kernel::ParentAndName place = TRY(kernel::open_parent_in_root(root, clean));
    UniqueFd made(::openat(
        place.parent.get(),
        place.name.c_str(),
        O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC,
        0755));
    if (!made) {
        return errno_error("make mount point " + path);
    }
    // The descriptor of the file that we made, whatever the name means by now.
    return kernel::open_in_root(place.parent, place.name, O_PATH, 0, kernel::FollowLinks::Never);
}

Result<MountedPlaces>
mount_all(const std::vector<PreparedMount>& mounts, const MountContext& context) {
    MountedPlaces places;
    for (const PreparedMount& prepared : mounts) {
        TRY_CONTEXT(
            mount_one(prepared, context, places),
            prepared.member + ": error mounting \"" + prepared.mount->source +
                "\" to rootfs at \"" + prepared.mount->destination + "\"");
    }
    return places;
}

} // namespace berth::runtime
