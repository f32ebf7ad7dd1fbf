// SPDX-License-Identifier: Apache-2.0
// Destinations are attacker input: the image may have links anywhere, and a process of another
// container may exchange directories of a shared volume while we work. So each destination is
// opened once, below the root, and the mount is attached to that descriptor.
#include "runtime/container_mounts.h"

#include "base/strings.h"
#include "kernel/path.h"
#include "runtime/cgroup_mount.h"

#include <linux/magic.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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

Result<bool> is_procfs(FdRef place) {
    struct statfs system {};

    if (::fstatfs(place.get(), &system) < 0) {
        return errno_error("statfs");
    }
    return system.f_type == PROC_SUPER_MAGIC;
}

Result<bool> is_directory(FdRef place) {
    struct stat status {};

    if (::fstat(place.get(), &status) < 0) {
        return errno_error("stat");
    }
    return S_ISDIR(status.st_mode);
}

Result<void> set_bind_attributes(const PreparedMount& prepared) {
    const MountOptions& options = prepared.options;
    // Private or slave before anything else: no mount event of the container may reach the host.
    bool shared = std::any_of(
        options.propagation.begin(), options.propagation.end(), [](const Propagation& entry) {
            return entry.type == MS_SHARED;
        });
    kernel::MountAttributes basic{
        .set = options.recursive_attributes,
        .propagation = shared ? 0U : static_cast<std::uint64_t>(MS_SLAVE)};
    TRY(kernel::set_mount_attributes(prepared.source, basic, kernel::Recursive::Yes));
    for (const Propagation& entry : options.propagation) {
        TRY(kernel::set_mount_attributes(
            prepared.source, {.propagation = entry.type}, entry.recursive));
    }
    if (options.attributes != 0 || options.sets_access_time) {
        constexpr std::uint64_t access_time = MOUNT_ATTR__ATIME;
        kernel::MountAttributes own{
            .set = options.attributes, .clear = options.sets_access_time ? access_time : 0U};
        TRY(kernel::set_mount_attributes(prepared.source, own, kernel::Recursive::No));
    }
    return ok();
}

Result<void> prepare_bind(PreparedMount& prepared, const std::string& bundle) {
    const std::string& source = prepared.mount->source;
    if (!prepared.options.parameters.empty()) {
        return invalid_argument(
            "bind mount with file system option \"" + prepared.options.parameters[0].key + "\"");
    }
    std::string path = source.starts_with('/') ? source : bundle + "/" + source;
    prepared.source = TRY(kernel::clone_mount(path, prepared.options.recursive_bind));
    prepared.is_directory = TRY(is_directory(prepared.source));
    prepared.is_procfs = TRY(is_procfs(prepared.source));
    return set_bind_attributes(prepared);
}

// CVE-2019-16884, CVE-2019-19921: nothing of an image or a volume may pose as procfs.
Result<void> check_proc_destination(const PreparedMount& prepared, FdRef target) {
    std::string destination = clean_path(prepared.mount->destination);
    auto refuse = [&](const std::string& why) {
        return invalid_argument("\"" + destination + "\" cannot be mounted because it " + why);
    };
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

Result<UniqueFd> open_target(const PreparedMount& prepared, const UniqueFd& root) {
    const std::string& destination = prepared.mount->destination;
    const std::string& type = prepared.mount->type;
    if (!destination.starts_with('/') || clean_path(destination) == "/") {
        return invalid_argument("mount destination \"" + destination + "\" is not a path below /");
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
    return prepared.is_directory ? kernel::make_directories_in_root(root, destination)
                                 : open_file_target(root, destination);
}

// Mounts an own instance of a file system and attaches it.
Result<UniqueFd> mount_new(const PreparedMount& prepared, FdRef target, std::uint64_t attributes) {
    const oci::Mount& mount = *prepared.mount;
    std::vector<kernel::MountParameter> parameters = prepared.options.parameters;
    constexpr auto attribute_only =
        std::to_array<std::string_view>({"proc", "sysfs", "tmpfs", "devpts", "mqueue"});
    if ((attributes & MOUNT_ATTR_RDONLY) != 0 &&
        std::find(attribute_only.begin(), attribute_only.end(), mount.type) ==
            attribute_only.end()) {
        parameters.push_back({"ro", ""}); // of the file system too: a disk must not be written
    }
    UniqueFd made = TRY(kernel::make_mount(mount.type, mount.source, parameters, attributes));
    TRY(kernel::attach_mount(made, target));
    for (const Propagation& entry : prepared.options.propagation) {
        TRY(kernel::set_mount_attributes(made, {.propagation = entry.type}, entry.recursive));
    }
    return made;
}

Result<void>
mount_one(const PreparedMount& prepared, const MountContext& context, MountedPlaces& places) {
    const oci::Mount& mount = *prepared.mount;
    UniqueFd target = TRY(open_target(prepared, context.root));
    TRY(check_proc_destination(prepared, target));
    const std::string destination = clean_path(mount.destination);
    const bool fixed = destination == "/proc" || destination == "/sys";
    if (prepared.options.bind) {
        places.dev_is_bind = places.dev_is_bind || destination == "/dev";
        if (fixed) {
            places.fixed.push_back({destination, TRY(prepared.source.duplicate())});
        }
        return kernel::attach_mount(prepared.source, target);
    }
    std::uint64_t attributes = prepared.options.attributes | prepared.options.recursive_attributes;
    if (mount.type == "cgroup" || mount.type == "cgroup2") {
        std::vector<UniqueFd> made = TRY(mount_cgroups(
            target,
            {.cgroup = context.cgroup,
             .own_namespace = context.own_cgroup_namespace,
             .attributes = attributes}));
        std::move(made.begin(), made.end(), std::back_inserter(places.make_readonly));
        return ok();
    }
    // /dev gets its devices first.
    const bool later = destination == "/dev" && (attributes & MOUNT_ATTR_RDONLY) != 0;
    if (later) {
        attributes &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
    }
    UniqueFd made = TRY(mount_new(prepared, target, attributes));
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

Result<std::vector<PreparedMount>>
prepare_mounts(const oci::RuntimeConfig& config, const std::string& bundle) {
    std::vector<PreparedMount> prepared;
    prepared.reserve(config.mounts.size());
    for (const oci::Mount& mount : config.mounts) {
        PreparedMount& entry = prepared.emplace_back();
        entry.mount = &mount;
        entry.options = TRY(parse_mount_options(mount.options));
        entry.options.bind = entry.options.bind || mount.type == "bind";
        if (entry.options.bind) {
            TRY_CONTEXT(
                prepare_bind(entry, bundle),
                "mount \"" + mount.source + "\" to \"" + mount.destination + "\"");
        }
    }
    return prepared;
}

Result<MountedPlaces>
mount_all(const std::vector<PreparedMount>& mounts, const MountContext& context) {
    MountedPlaces places;
    for (const PreparedMount& prepared : mounts) {
        TRY_CONTEXT(
            mount_one(prepared, context, places),
            "error mounting \"" + prepared.mount->source + "\" to rootfs at \"" +
                prepared.mount->destination + "\"");
    }
    return places;
}

} // namespace berth::runtime
