// SPDX-License-Identifier: Apache-2.0
// setfsuid(2) takes a root's rights over files away unless the thread says that it does not mean
// that (capabilities(7), SECBIT_NO_SETUID_FIXUP).
#include "kernel/file_maker.h"

#include <linux/securebits.h>

#include <cerrno>

#include <sys/fsuid.h>
#include <sys/prctl.h>

namespace berth::kernel {

Result<void> make_files_as(const FileMaker& maker) {
    if (!maker) {
        return ok();
    }
    const int bits = ::prctl(PR_GET_SECUREBITS);
    if (bits < 0 ||
        ::prctl(PR_SET_SECUREBITS, bits | static_cast<int>(SECBIT_NO_SETUID_FIXUP)) < 0) {
        return errno_error("keep rights over files");
    }
    ::setfsgid(maker->second);
    ::setfsuid(maker->first);
    // They say who it was before, and nothing of success.
    const auto now_uid = static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1)));
    const auto now_gid = static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1)));
    return now_uid == maker->first && now_gid == maker->second
               ? ok()
               : Result<void>(Error::from_errno("make files for another user", EPERM));
}

} // namespace berth::kernel
