// SPDX-License-Identifier: Apache-2.0
// quotactl_fd(2) (Linux 5.14) takes the file system by a directory in it: no device node is
// needed. The limits are set in XFS's form, which ext4 takes too.
#include "kernel/project_quota.h"

#include <linux/capability.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

constexpr std::uint64_t block_bytes = 512;

long quota_call(FdRef directory, int command, std::uint32_t project, fs_disk_quota& quota) {
    const auto whose = static_cast<unsigned>(QCMD(command, PRJQUOTA));
    return ::syscall(SYS_quotactl_fd, directory.get(), whose, project, &quota);
}

Result<void>
set_limits(FdRef directory, std::uint32_t project, std::uint64_t soft, std::uint64_t hard) {
    fs_disk_quota quota{};
    quota.d_version = FS_DQUOT_VERSION;
    quota.d_flags = FS_PROJ_QUOTA;
    quota.d_id = project;
    quota.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT;
    quota.d_blk_hardlimit = (hard + block_bytes - 1) / block_bytes;
    quota.d_blk_softlimit = (soft + block_bytes - 1) / block_bytes;
    return quota_call(directory, Q_XSETQLIM, project, quota) == 0
               ? ok()
               : Result<void>(errno_error("set a project quota"));
}

// 0: none.
Result<std::uint64_t> limit_of(FdRef directory, std::uint32_t project) {
    fs_disk_quota quota{};
    if (quota_call(directory, Q_XGETQUOTA, project, quota) != 0) {
        return errno_error("read a project quota");
    }
    return quota.d_blk_softlimit * block_bytes;
}

// In the calling thread's effective set; false where nothing was to be changed.
bool change_resource_capability(bool wanted) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0) {
        return false;
    }
    const std::uint32_t bit = CAP_TO_MASK(CAP_SYS_RESOURCE);
    std::uint32_t& effective = sets[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective;
    if (((effective & bit) != 0) == wanted) {
        return false;
    }
    effective ^= bit;
    return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

} // namespace

HeldToLimits::HeldToLimits()
    : had_it_(change_resource_capability(false)) {}

HeldToLimits::~HeldToLimits() {
    if (had_it_) {
        change_resource_capability(true);
    }
}

Result<std::uint32_t> project_of(FdRef directory) {
    fsxattr attributes{};
    if (::ioctl(directory.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
        return errno_error("read a directory's project");
    }
    return attributes.fsx_projid;
}

Result<void> limit_directory(FdRef directory, std::uint32_t project, std::uint64_t bytes) {
    // The limit first: without quotas nothing is changed.
    TRY(set_limits(directory, project, bytes, bytes));
    fsxattr attributes{};
    if (::ioctl(directory.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
        return errno_error("read a directory's project");
    }
    attributes.fsx_projid = project;
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (::ioctl(directory.get(), FS_IOC_FSSETXATTR, &attributes) != 0) {
        return errno_error("set a directory's project");
    }
    return ok();
}

Result<RaisedLimit>
RaisedLimit::raise(UniqueFd directory, std::uint32_t project, std::uint64_t bytes) {
    const std::uint64_t limit = TRY(limit_of(directory, project));
    if (limit == 0) {
        return RaisedLimit(UniqueFd(), project);
    }
    TRY(set_limits(directory, project, limit, limit + bytes));
    return RaisedLimit(std::move(directory), project);
}

RaisedLimit::~RaisedLimit() {
    if (!directory_) {
        return;
    }
    // A failure leaves some room more, as a death would.
    if (const Result<std::uint64_t> limit = limit_of(directory_, project_); limit.ok()) {
        [[maybe_unused]] Result<void> lowered = set_limits(directory_, project_, *limit, *limit);
    }
}

bool lacks_project_quota(const Error& error) {
    constexpr auto reasons = std::to_array<int>(
        {ENOTTY, EOPNOTSUPP, ESRCH, ENOSYS, EINVAL, ENOTBLK, ENODEV, EPERM, EROFS});
    return std::find(reasons.begin(), reasons.end(), error.error_number()) != reasons.end();
}

} // namespace berth::kernel
