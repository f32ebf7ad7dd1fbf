// SPDX-License-Identifier: Apache-2.0
// The container's mounts. prepare_mounts() runs before the clone, with the host's rights: it opens
// what is bound from the host as detached mounts. mount_all() runs in the child and attaches.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/cgroup.h"
#include "oci/runtime_config.h"
#include "runtime/cgroup_mount.h"
#include "runtime/mount_options.h"
#include "runtime/namespaces.h"

#include <optional>
#include <string>
#include <vector>

namespace berth::runtime {

struct PreparedMount {
    const oci::Mount* mount = nullptr;
    std::string member; // "mounts[3]", for errors
    MountOptions options;
    UniqueFd source;                   // bind mounts: detached, attributes set
    std::optional<GroupMounts> groups; // of cgroup mounts; else they are looked for by their paths
    std::string link_target;           // copy-symlink: the link to make instead of a mount
    bool is_directory = true;
    bool is_procfs = false; // what is bound
};

struct MountSources {
    const std::string& bundle; // relative sources are below it
    const std::vector<JoinedNamespace>& joined;
    const kernel::Cgroup* cgroup = nullptr; // for mounts of it
    bool own_cgroup_namespace = false;
};

// `config` must outlive the result.
Result<std::vector<PreparedMount>>
prepare_mounts(const oci::RuntimeConfig& config, const MountSources& sources);

// mount_all() does not look for anything of the host's.
bool are_complete(const std::vector<PreparedMount>& mounts);

struct MountContext {
    const UniqueFd& root; // of the container, attached in this namespace
    const kernel::Cgroup& cgroup;
    bool own_cgroup_namespace = false;
    const std::string& label; // linux.mountLabel
};

// A mount whose name another process may exchange while we work (a root that is shared): what lies
// below `path` is opened from here.
struct FixedPlace {
    std::string path;
    UniqueFd mount;
};

struct MountedPlaces {
    UniqueFd devpts;               // the mount at /dev/pts, if it is a new devpts
    std::vector<FixedPlace> fixed; // /proc and /sys
    bool dev_is_bind = false;      // /dev is the host's or somebody else's: leave its content alone
    std::vector<UniqueFd> make_readonly; // once everything below them is made
};

Result<MountedPlaces>
mount_all(const std::vector<PreparedMount>& mounts, const MountContext& context);

// A path of the container for reading or as the target of a mount (O_PATH).
Result<UniqueFd>
open_place(const UniqueFd& root, const std::vector<FixedPlace>& fixed, const std::string& path);

Result<bool> is_procfs(FdRef place);

// Attributes and propagation of a mount that exists.
Result<void> apply_options(FdRef mount, const MountOptions& options);

// SELinux's, for all that is in a new file system of this type, unless an option says another one.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#mount-label
void add_label(
    std::vector<kernel::MountParameter>& parameters,
    const std::string& type,
    const std::string& label);

// Where a bind of a file goes: the file, made if it is absent.
Result<UniqueFd> open_file_target(const UniqueFd& root, const std::string& path);

} // namespace berth::runtime
