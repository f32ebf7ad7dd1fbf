// SPDX-License-Identifier: Apache-2.0
// Mounts can only be attached in one's own mount namespace, so a thread makes a new one, leaves
// nothing in it but the tree, and ends; a descriptor keeps the namespace.
#include "runtime/file_tree.h"

#include "base/file.h"
#include "kernel/mount.h"
#include "runtime/rootfs.h"

#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

namespace berth::runtime {

namespace {

Result<FileTree> assemble(
    const std::string& root, const std::vector<TreeMount>& mounts, const FileTreeOptions& options) {
    constexpr std::uint64_t harmless = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    const UniqueFd self = TRY(open_file("/proc/thread-self", O_PATH | O_DIRECTORY));
    FileTree tree;
    tree.root = TRY(kernel::clone_mount(root, kernel::Recursive::No));
    TRY(kernel::set_mount_attributes(
        tree.root, {.propagation = MS_PRIVATE}, kernel::Recursive::No));
    // SAFETY: this thread was made for the call and ends with it.
    if (::unshare(CLONE_NEWNS) != 0) {
        return errno_error("make a mount namespace");
    }
    const UniqueFd here = TRY(open_file("/", O_PATH | O_DIRECTORY));
    // What is unmounted on the host meanwhile goes here too; nothing of ours gets there.
    TRY(kernel::set_mount_attributes(here, {.propagation = MS_SLAVE}, kernel::Recursive::Yes));
    TRY(kernel::attach_mount(tree.root, here));
    TRY(pivot_to(tree.root));
    TRY(kernel::make_files_as(options.maker));
    for (const TreeMount& mount : mounts) {
        const UniqueFd place = TRY_CONTEXT(
            ensure_mount_point(tree.root, mount.destination, mount.mount.is_directory),
            "mount point " + mount.destination);
        TRY_CONTEXT(
            kernel::attach_mount(mount.mount.mount, place), "mount point " + mount.destination);
    }
    TRY(kernel::set_mount_attributes(
        tree.root, {.set = harmless, .propagation = MS_PRIVATE}, kernel::Recursive::Yes));
    if (options.read_only == ReadOnlyRoot::Yes) {
        TRY(kernel::set_mount_attributes(
            tree.root, {.set = MOUNT_ATTR_RDONLY}, kernel::Recursive::No));
    }
    tree.mount_namespace.reset(::openat(self.get(), "ns/mnt", O_RDONLY | O_CLOEXEC));
    if (!tree.mount_namespace) {
        return errno_error("open a mount namespace");
    }
    return tree;
}

} // namespace

Result<FileTree> make_file_tree(
    const std::string& root, const std::vector<TreeMount>& mounts, const FileTreeOptions& options) {
    Result<FileTree> tree = internal_error("the thread did not run");
    std::thread([&] { tree = assemble(root, mounts, options); }).join();
    return tree;
}

} // namespace berth::runtime
