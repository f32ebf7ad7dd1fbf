// SPDX-License-Identifier: Apache-2.0
// Mounts as descriptors: fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2). A
// mount is made detached, given its attributes, and attached to a descriptor of its place: no path
// is resolved twice.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/mount.h>

namespace berth::kernel {

struct MountParameter {
    std::string key;
    std::string value; // empty: a flag (FSCONFIG_SET_FLAG)
    // Left out where the file system does not know it: flags that mount(2) has for all of them but
    // that mean something to a few.
    bool if_known = false;
    // "key=": with an empty value, but no flag.
    bool is_text = false;
};

// FSCONFIG_CMD_CREATE: the step in which a server may be asked (server_question.h).
using CreateFileSystem = std::function<Result<void>(FdRef context)>;
Result<void> create_file_system(FdRef context);

// A new file system instance, detached. `attributes` are MOUNT_ATTR_*. `source` may be empty.
// The kernel's own message (fsopen's log) is part of the error.
Result<UniqueFd> make_mount(
    const std::string& type,
    const std::string& source,
    const std::vector<MountParameter>& parameters,
    std::uint64_t attributes,
    const CreateFileSystem& create = create_file_system);

// Other parameters for the file system that is mounted at `place` (mount -o remount).
Result<void> reconfigure_mount(FdRef place, const std::vector<MountParameter>& parameters);

enum class Recursive : bool { No, Yes };
enum class LinkSource : bool { Follow, Itself };

// A detached copy of the mount at `place` (a bind mount to be).
Result<UniqueFd> clone_mount(FdRef place, Recursive recursive);
Result<UniqueFd>
clone_mount(const std::string& path, Recursive recursive, LinkSource link = LinkSource::Follow);

// Attaches a detached mount at what `place` refers to (a directory or file of the same kind).
Result<void> attach_mount(FdRef mount, FdRef place);
Result<void> attach_mount(FdRef mount, const std::string& path);

struct MountAttributes {
    std::uint64_t set = 0;   // MOUNT_ATTR_*
    std::uint64_t clear = 0; // MOUNT_ATTR_*; the access-time bits are one field (MOUNT_ATTR__ATIME)
    std::uint64_t propagation = 0; // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0
    int user_namespace = -1;       // with MOUNT_ATTR_IDMAP
};

Result<void>
set_mount_attributes(FdRef mount, const MountAttributes& attributes, Recursive recursive);

// umount2(path, MNT_DETACH). False: nothing is mounted there (EINVAL, ENOENT). The file system is
// asked nothing, as it would be by a stat: its server may be gone.
Result<bool> detach_mount(const std::string& path);
// The same where it does not matter.
Result<void> unmount_lazily(const std::string& path);

// Unmounts its path when destroyed.
class MountGuard {
  public:
    explicit MountGuard(std::string path)
        : path_(std::move(path)) {}

    MountGuard(MountGuard&& other) noexcept
        : path_(std::exchange(other.path_, {})) {}

    MountGuard& operator=(MountGuard&& other) noexcept {
        std::swap(path_, other.path_);
        return *this;
    }

    ~MountGuard();

    // The mount stays.
    void release() { path_.clear(); }

  private:
    std::string path_;
};

// True when something is mounted at exactly this path (statx's mount root attribute). Its server is
// not asked.
Result<bool> is_mount_point(const std::string& path);

} // namespace berth::kernel
