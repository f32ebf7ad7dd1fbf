// SPDX-License-Identifier: Apache-2.0
// Every path is opened below the root and every mount goes to a descriptor: see container_mounts.
#include "runtime/rootfs.h"

#include "base/file.h"
#include "kernel/mount.h"
#include "kernel/path.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::uint64_t private_propagation = MS_PRIVATE;

// A second mount of what is attached already; works on every kernel, other than cloning a detached
// one.
Result<UniqueFd> another(const UniqueFd& attached) {
    return kernel::clone_mount(attached, kernel::Recursive::No);
}

bool is_absent(const Error& error) {
    return error.error_number() == ENOENT || error.error_number() == ENOTDIR;
}

} // namespace

Result<UniqueFd> prepare_root(const std::string& path) {
    UniqueFd tree = TRY_CONTEXT(kernel::clone_mount(path, kernel::Recursive::Yes), "rootfs");
    // Slave: mounts that appear on the host below it show up; none of ours goes back.
    TRY(kernel::set_mount_attributes(tree, {.propagation = MS_SLAVE}, kernel::Recursive::Yes));
    return tree;
}

Result<UniqueFd> prepare_null_device() {
    UniqueFd device = TRY(open_file("/dev/null", O_PATH | O_NOFOLLOW));

    struct stat status {};

    if (::fstat(device.get(), &status) < 0) {
        return errno_error("/dev/null");
    }
    if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3)) {
        return Error(ErrorKind::Unavailable, "/dev/null of the host is no null device");
    }
    UniqueFd mount = TRY(kernel::clone_mount(device, kernel::Recursive::No));
    TRY(kernel::set_mount_attributes(
        mount, {.propagation = private_propagation}, kernel::Recursive::No));
    return mount;
}

Result<void> attach_root(const UniqueFd& root, const std::string& path) {
    UniqueFd here = TRY(open_file("/", O_PATH | O_DIRECTORY));
    TRY(kernel::set_mount_attributes(
        here, {.propagation = private_propagation}, kernel::Recursive::Yes));
    // A user namespace may not be let through the host's directories, and a mount namespace that
    // was joined or empty may not have them.
    Result<UniqueFd> place = open_file(path, O_PATH | O_DIRECTORY);
    return kernel::attach_mount(root, place.ok() ? *place : here);
}

Result<void> pivot_to(const UniqueFd& root) {
    // The old root lands on top of the new one and is taken off again: pivot_root(2), "pivot_root(
    // ".", ".")".
    if (::fchdir(root.get()) < 0 || ::syscall(SYS_pivot_root, ".", ".") < 0) {
        return errno_error("pivot_root");
    }
    if (::umount2(".", MNT_DETACH) < 0) {
        return errno_error("unmount the old root");
    }
    if (::chdir("/") < 0) {
        return errno_error("chdir /");
    }
    return ok();
}

Result<void> mask_paths(
    const UniqueFd& root,
    const std::vector<FixedPlace>& fixed,
    const std::vector<std::string>& paths,
    const Masks& masks) {
    UniqueFd empty;
    bool null_attached = false;
    for (const std::string& path : paths) {
        Result<UniqueFd> place = open_place(root, fixed, path);
        if (!place.ok()) {
            if (is_absent(place.error())) {
                continue;
            }
            return std::move(place).error().with_context("mask path");
        }

        struct stat status {};

        if (::fstat(place->get(), &status) < 0) {
            return errno_error("mask path " + path);
        }
        if (!S_ISDIR(status.st_mode)) {
            UniqueFd copy = null_attached ? TRY(another(masks.null_device)) : UniqueFd();
            TRY_CONTEXT(
                kernel::attach_mount(copy ? copy : masks.null_device, *place), "mask " + path);
            null_attached = true;
        } else if (empty) {
            UniqueFd copy = TRY(another(empty));
            TRY_CONTEXT(kernel::attach_mount(copy, *place), "mask " + path);
        } else {
            // One empty file system for all masked directories: each instance costs time.
            std::vector<kernel::MountParameter> parameters{
                {"size", "4k"}, {"nr_inodes", "1"}, {"mode", "755"}};
            add_label(parameters, "tmpfs", masks.label);
            empty = TRY(kernel::make_mount(
                "tmpfs",
                "tmpfs",
                parameters,
                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
            TRY_CONTEXT(kernel::attach_mount(empty, *place), "mask " + path);
        }
    }
    return ok();
}

Result<void> protect_paths(
    const UniqueFd& root,
    const std::vector<FixedPlace>& fixed,
    const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        Result<UniqueFd> place = open_place(root, fixed, path);
        if (!place.ok()) {
            if (is_absent(place.error())) {
                continue;
            }
            return std::move(place).error().with_context("read-only path");
        }
        UniqueFd copy = TRY(kernel::clone_mount(*place, kernel::Recursive::Yes));
        TRY(kernel::set_mount_attributes(
            copy,
            {.set = MOUNT_ATTR_RDONLY, .propagation = private_propagation},
            kernel::Recursive::Yes));
        TRY_CONTEXT(kernel::attach_mount(copy, *place), "make " + path + " read-only");
    }
    return ok();
}

Result<void> make_root_readonly(const UniqueFd& root) {
    return kernel::set_mount_attributes(root, {.set = MOUNT_ATTR_RDONLY}, kernel::Recursive::No);
}

Result<void> check_root_propagation(std::string_view propagation) {
    if (propagation.empty()) {
        return ok();
    }
    MountOptions options = TRY(parse_mount_options({std::string(propagation)}));
    return options.propagation.empty()
               ? Result<void>(invalid_argument(
                     "linux.rootfsPropagation: unknown value \"" + std::string(propagation) + "\""))
               : ok();
}

Result<void> set_root_propagation(const UniqueFd& root, std::string_view propagation) {
    if (propagation.empty()) {
        return ok();
    }
    MountOptions options = TRY(parse_mount_options({std::string(propagation)}));
    const Propagation& wanted = options.propagation.at(0);
    return kernel::set_mount_attributes(root, {.propagation = wanted.type}, wanted.recursive);
}

} // namespace berth::runtime
