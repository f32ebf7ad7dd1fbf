// SPDX-License-Identifier: Apache-2.0
// Probes: a call with an argument that the kernel must refuse tells ENOSYS from everything else.
#include "kernel/kernel_features.h"

#include "base/file.h"

#include <linux/seccomp.h>

#include <cerrno>

#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

template <class... Arguments>
bool has_call(long number, Arguments... arguments) {
    return ::syscall(number, arguments...) >= 0 || errno != ENOSYS;
}

KernelFeatures probe() {
    KernelFeatures found;
    found.mount_descriptors = has_call(SYS_open_tree, -1, nullptr, ~0U) &&
                              has_call(SYS_move_mount, -1, nullptr, -1, nullptr, ~0U) &&
                              has_call(SYS_fsopen, nullptr, ~0U);
    found.mount_attributes = has_call(SYS_mount_setattr, -1, nullptr, ~0U, nullptr, 0);
    found.openat2 = has_call(SYS_openat2, -1, nullptr, nullptr, 0);
    found.clone3 = has_call(SYS_clone3, nullptr, 0);
    found.pidfd = has_call(SYS_pidfd_open, -1, 0);
    found.close_range = has_call(SYS_close_range, ~0U, 0, ~0U);
    found.seccomp_filter =
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr) < 0 && errno == EFAULT;
    found.time_namespace = exists("/proc/self/ns/time");
    found.user_namespace = exists("/proc/self/ns/user");
    found.apparmor =
        read_file("/sys/module/apparmor/parameters/enabled", 16).value_or("").starts_with("Y");
    found.landlock = has_call(444 /* landlock_create_ruleset */, nullptr, 0, 0);
    return found;
}

} // namespace

const KernelFeatures& kernel_features() {
    static const KernelFeatures features = probe();
    return features;
}

Result<void> require_container_features() {
    const KernelFeatures& features = kernel_features();
    auto missing = [](const std::string& what) {
        return Error(ErrorKind::Unavailable, "this kernel lacks " + what);
    };
    if (!features.mount_descriptors || !features.mount_attributes) {
        return missing("mount_setattr(2) and the mount calls before it (Linux 5.12)");
    }
    if (!features.openat2) {
        return missing("openat2(2) (Linux 5.6)");
    }
    if (!features.clone3 || !features.pidfd || !features.close_range) {
        return missing("clone3(2), pidfd_open(2) or close_range(2) (Linux 5.9)");
    }
    return ok();
}

std::vector<std::pair<std::string, bool>> feature_list(const KernelFeatures& features) {
    return {
        {"mount descriptors", features.mount_descriptors},
        {"mount attributes", features.mount_attributes},
        {"openat2", features.openat2},
        {"clone3", features.clone3},
        {"pidfd", features.pidfd},
        {"close_range", features.close_range},
        {"seccomp", features.seccomp_filter},
        {"time namespaces", features.time_namespace},
        {"user namespaces", features.user_namespace},
        {"apparmor", features.apparmor},
        {"landlock", features.landlock}};
}

} // namespace berth::kernel
