// SPDX-License-Identifier: Apache-2.0
// https://man7.org/linux/man-pages/man4/loop.4.html, LOOP_CONFIGURE (Linux 5.8): the device is set
// up in one step, so that nobody sees it half configured.
#include "kernel/loop_device.h"

#include "base/file.h"

#include <linux/loop.h>

#include <cerrno>

#include <fcntl.h>
#include <sys/ioctl.h>

namespace berth::kernel {

namespace {

// Others take devices too: the free one may be gone when we come.
constexpr int attempts = 64;

} // namespace

Result<LoopDevice> attach_loop_device(FdRef file, LoopAccess access) {
    const bool read_only = access == LoopAccess::ReadOnly;
    UniqueFd control = TRY(open_file("/dev/loop-control", O_RDWR));
    for (int i = 0; i < attempts; ++i) {
        const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) {
            return errno_error("find a loop device");
        }
        LoopDevice device;
        device.path = "/dev/loop" + std::to_string(number);
        device.fd = TRY(open_file(device.path, read_only ? O_RDONLY : O_RDWR));
        loop_config config{};
        config.fd = static_cast<unsigned>(file.get());
        config.block_size = 512;
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
        if (read_only) {
            config.info.lo_flags |= LO_FLAGS_READ_ONLY;
        }
        if (::ioctl(device.fd.get(), LOOP_CONFIGURE, &config) == 0) {
            return device;
        }
        if (errno != EBUSY) {
            return errno_error("set up " + device.path);
        }
    }
    return Error(ErrorKind::Unavailable, "all loop devices are taken by others");
}

} // namespace berth::kernel
