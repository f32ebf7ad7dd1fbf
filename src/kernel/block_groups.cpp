// SPDX-License-Identifier: Apache-2.0
// One flag of a directory.
#include "kernel/block_groups.h"

#include "base/file.h"

#include <linux/fs.h>

#include <fcntl.h>
#include <sys/ioctl.h>

namespace berth::kernel {

void spread_children(const std::string& path) {
    Result<UniqueFd> directory = open_file(path, O_RDONLY | O_DIRECTORY);
    unsigned flags = 0;
    if (directory.ok() && ioctl(directory->get(), FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_TOPDIR_FL;
        (void)ioctl(directory->get(), FS_IOC_SETFLAGS, &flags);
    }
}

} // namespace berth::kernel
