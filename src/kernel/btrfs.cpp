// SPDX-License-Identifier: Apache-2.0
// https://btrfs.readthedocs.io/en/latest/btrfs-ioctl.html; the structures are the kernel's
// (linux/btrfs.h). SAFETY: each ioctl gets the structure that its number was made from, and reads
// or writes nothing beyond it.
#include "kernel/btrfs.h"

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>

#include <cerrno>
#include <cstring>

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace berth::kernel {

namespace {

Result<void> set_name(btrfs_ioctl_vol_args_v2& arguments, const std::string& name) {
    if (name.size() > BTRFS_SUBVOL_NAME_MAX) {
        errno = ENAMETOOLONG;
        return errno_error("subvolume " + name.substr(0, 64));
    }
    std::memcpy(arguments.name, name.c_str(), name.size() + 1);
    return ok();
}

} // namespace

bool is_on_btrfs(FdRef file) {
    struct statfs system {};

    return ::fstatfs(file.get(), &system) == 0 && system.f_type == BTRFS_SUPER_MAGIC;
}

bool is_subvolume(FdRef directory) {
    struct stat status {};

    return ::fstat(directory.get(), &status) == 0 && S_ISDIR(status.st_mode) &&
           status.st_ino == BTRFS_FIRST_FREE_OBJECTID && is_on_btrfs(directory);
}

Result<void> create_subvolume(FdRef parent, const std::string& name) {
    btrfs_ioctl_vol_args_v2 arguments{};
    TRY(set_name(arguments, name));
    if (::ioctl(parent.get(), BTRFS_IOC_SUBVOL_CREATE_V2, &arguments) != 0) {
        return errno_error("create subvolume " + name);
    }
    return ok();
}

Result<void>
snapshot_subvolume(FdRef source, FdRef parent, const std::string& name, SubvolumeMode mode) {
    btrfs_ioctl_vol_args_v2 arguments{};
    TRY(set_name(arguments, name));
    arguments.fd = source.get();
    arguments.flags = mode == SubvolumeMode::ReadOnly ? BTRFS_SUBVOL_RDONLY : 0;
    if (::ioctl(parent.get(), BTRFS_IOC_SNAP_CREATE_V2, &arguments) != 0) {
        return errno_error("make snapshot " + name);
    }
    return ok();
}

Result<void> destroy_subvolume(FdRef parent, const std::string& name) {
    btrfs_ioctl_vol_args_v2 arguments{};
    TRY(set_name(arguments, name));
    if (::ioctl(parent.get(), BTRFS_IOC_SNAP_DESTROY_V2, &arguments) == 0) {
        return ok();
    }
    if (errno == ENOTTY || errno == EOPNOTSUPP) { // before Linux 5.7
        btrfs_ioctl_vol_args old{};
        if (name.size() > BTRFS_PATH_NAME_MAX) {
            errno = ENAMETOOLONG;
            return errno_error("remove subvolume");
        }
        std::memcpy(old.name, name.c_str(), name.size() + 1);
        if (::ioctl(parent.get(), BTRFS_IOC_SNAP_DESTROY, &old) == 0) {
            return ok();
        }
    }
    return errno_error("remove subvolume " + name);
}

Result<void> make_subvolume_writable(FdRef subvolume) {
    std::uint64_t flags = 0;
    if (::ioctl(subvolume.get(), BTRFS_IOC_SUBVOL_GETFLAGS, &flags) != 0) {
        return errno_error("ask whether a subvolume is read-only");
    }
    if ((flags & BTRFS_SUBVOL_RDONLY) == 0) {
        return ok();
    }
    flags &= ~std::uint64_t{BTRFS_SUBVOL_RDONLY};
    if (::ioctl(subvolume.get(), BTRFS_IOC_SUBVOL_SETFLAGS, &flags) != 0) {
        return errno_error("make a subvolume writable");
    }
    return ok();
}

Result<void> limit_subvolume(FdRef subvolume, std::uint64_t bytes) {
    btrfs_ioctl_quota_ctl_args control{};
    control.cmd = BTRFS_QUOTA_CTL_ENABLE;
    if (::ioctl(subvolume.get(), BTRFS_IOC_QUOTA_CTL, &control) != 0 && errno != EEXIST) {
        return errno_error("turn btrfs's quotas on");
    }
    // What was there before they were on is counted once, in the background; until then a limit
    // would hold for too little.
    if (::ioctl(subvolume.get(), BTRFS_IOC_QUOTA_RESCAN_WAIT, nullptr) != 0) {
        return errno_error("wait for btrfs's quotas");
    }
    btrfs_ioctl_qgroup_limit_args limit{};
    limit.qgroupid = 0; // the subvolume's own
    limit.lim.flags = BTRFS_QGROUP_LIMIT_MAX_RFER;
    limit.lim.max_rfer = bytes;
    if (::ioctl(subvolume.get(), BTRFS_IOC_QGROUP_LIMIT, &limit) != 0) {
        return errno_error("limit a btrfs subvolume");
    }
    return ok();
}

} // namespace berth::kernel
