// SPDX-License-Identifier: Apache-2.0
// What this kernel can do, probed once by trying it (version numbers lie on distributions that
// backport).
#pragma once

#include "base/result.h"

#include <string>
#include <utility>
#include <vector>

namespace berth::kernel {

struct KernelFeatures {
    bool mount_descriptors = false; // open_tree, fsopen, move_mount (5.2)
    bool mount_attributes = false;  // mount_setattr (5.12)
    bool openat2 = false;           // 5.6
    bool clone3 = false;            // 5.3
    bool pidfd = false;             // 5.3
    bool close_range = false;       // 5.9
    bool seccomp_filter = false;
    bool time_namespace = false;
    bool user_namespace = false;
    bool apparmor = false;
    bool landlock = false;
};

const KernelFeatures& kernel_features();

// Unavailable and names what is missing when containers cannot be run at all.
Result<void> require_container_features();

// Pairs for logs and `info`.
std::vector<std::pair<std::string, bool>> feature_list(const KernelFeatures& features);

} // namespace berth::kernel
