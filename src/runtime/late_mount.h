// SPDX-License-Identifier: Apache-2.0
// A mount that comes to a container that runs, or leaves it. The container may be hostile: its
// paths are walked by descriptor in its own mount namespace and root, nothing is resolved twice,
// and what protects the host (procfs and what masks it) can neither be covered nor uncovered.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/file_maker.h"
#include "oci/runtime_config.h"

#include <string>

namespace berth::runtime {

struct LateMount {
    UniqueFd mount; // detached, with its attributes
    bool is_directory = true;
};

// From what the caller sees: a bind, or a new file system such as tmpfs. `label` is that of the
// container's mounts (linux.mountLabel).
Result<LateMount> make_late_mount(const oci::Mount& mount, const std::string& label = {});

// Attaches it at a path of the container, which is made (by `maker`) where it is missing, also
// below a root that is mounted read-only. `mount_namespace` is the container's
// (/proc/<pid>/ns/mnt). InvalidArgument where the path leads to what must stay as it is.
Result<void> attach_late_mount(
    FdRef mount_namespace,
    const LateMount& mount,
    const std::string& destination,
    const kernel::FileMaker& maker = {});

// Takes away the mount that is at this path. `expected` (optional) is what was mounted there: the
// file or directory that must be found. NotFound when there is no such mount.
Result<void>
detach_late_mount(FdRef mount_namespace, const std::string& destination, const UniqueFd& expected);

// A detached copy of the tmpfs that is mounted at this path of the container: the same files, to be
// attached elsewhere. NotFound where there is none.
Result<LateMount> clone_container_tmpfs(FdRef mount_namespace, const std::string& destination);

// The place of a mount below a root, made where it is missing, also where the root's mount is
// read-only.
Result<UniqueFd>
ensure_mount_point(const UniqueFd& root, const std::string& path, bool is_directory);

} // namespace berth::runtime
