// SPDX-License-Identifier: Apache-2.0
// The old root stays below the new one. A process that gets back to it must find no full procfs or
// sysfs there, through which it could undo the container's masks (runc: msMoveRoot).
#include "runtime/root_move.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/mount.h"

#include <cerrno>

#include <sys/mount.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

// "\040" and its kin, as mountinfo writes them.
std::string unescaped(std::string_view text) {
    std::string plain = replace_all(text, "\\040", " ");
    plain = replace_all(plain, "\\011", "\t");
    plain = replace_all(plain, "\\012", "\n");
    return replace_all(plain, "\\134", "\\");
}

Result<std::vector<std::string>> full_kernel_mounts() {
    std::string text = TRY(read_file("/proc/self/mountinfo"));
    std::vector<std::string> places;
    for (std::string_view line : split(text, '\n')) {
        std::optional<Cut> halves = cut(line, " - ");
        if (!halves) {
            continue;
        }
        std::vector<std::string_view> left = words(halves->before);
        std::vector<std::string_view> right = words(halves->after);
        constexpr std::size_t mount_root = 3;
        constexpr std::size_t mount_point = 4;
        if (left.size() > mount_point && left[mount_root] == "/" && !right.empty() &&
            (right[0] == "proc" || right[0] == "sysfs")) {
            places.push_back(unescaped(left[mount_point]));
        }
    }
    return places;
}

} // namespace

Result<void> hide_kernel_mounts() {
    std::vector<std::string> places = TRY(full_kernel_mounts());
    for (auto place = places.rbegin(); place != places.rend(); ++place) {
        if (::umount2(place->c_str(), MNT_DETACH) == 0 || errno == ENOENT) {
            continue;
        }
        // Locked by a user namespace: then something empty covers it.
        UniqueFd empty = TRY(kernel::make_mount("tmpfs", "tmpfs", {}, MOUNT_ATTR_RDONLY));
        TRY_CONTEXT(kernel::attach_mount(empty, *place), "hide " + *place);
    }
    return ok();
}

Result<void> chroot_to(const UniqueFd& root) {
    if (::fchdir(root.get()) < 0 || ::chroot(".") < 0 || ::chdir("/") < 0) {
        return errno_error("chroot");
    }
    return ok();
}

} // namespace berth::runtime
