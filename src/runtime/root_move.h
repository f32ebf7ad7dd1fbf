// SPDX-License-Identifier: Apache-2.0
// --no-pivot: entering the container's root where pivot_root(2) cannot work, on a ramdisk.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth::runtime {

// Takes every full procfs and sysfs of the host out of this mount namespace, before attach_root().
// /proc is then gone by path: REQUIRES that it was opened before.
Result<void> hide_kernel_mounts();

// REQUIRES: attach_root() has mounted `root` over "/".
Result<void> chroot_to(const UniqueFd& root);

} // namespace berth::runtime
