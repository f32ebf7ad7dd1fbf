// SPDX-License-Identifier: Apache-2.0
// Loop devices: a file as a block device, for file systems that the kernel mounts from nothing
// else.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>

namespace berth::kernel {

struct LoopDevice {
    std::string path; // /dev/loop7
    // The device is given back when this and the last mount of it are gone.
    UniqueFd fd;
};

enum class LoopAccess : bool { ReadOnly, ReadWrite };

// A free device over the file, with sectors of 512 bytes.
Result<LoopDevice> attach_loop_device(FdRef file, LoopAccess access = LoopAccess::ReadOnly);

} // namespace berth::kernel
