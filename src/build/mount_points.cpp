// SPDX-License-Identifier: Apache-2.0
// Best effort by design: what is not empty any more belongs to the step.
#include "build/mount_points.h"

#include "base/strings.h"
#include "kernel/path.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

MountPoints::MountPoints(FdRef root, const std::vector<std::string>& destinations) {
    for (const std::string& destination : destinations) {
        std::string walked;
        for (const std::string_view part : split(destination, '/')) {
            if (part.empty()) {
                continue;
            }
            walked += "/" + std::string(part);
            const bool known =
                std::find(missing_.begin(), missing_.end(), walked) != missing_.end();
            if (!known && !kernel::open_in_root(root, walked, O_PATH).ok()) {
                missing_.push_back(walked);
            }
        }
    }
}

void MountPoints::remove_empty(FdRef root) const {
    for (auto path = missing_.rbegin(); path != missing_.rend(); ++path) {
        auto place = kernel::open_parent_in_root(root, *path);
        if (!place.ok()) {
            continue;
        }

        struct stat status {};

        if (::fstatat(place->parent.get(), place->name.c_str(), &status, AT_SYMLINK_NOFOLLOW) !=
            0) {
            continue;
        }
        if (S_ISDIR(status.st_mode)) {
            ::unlinkat(place->parent.get(), place->name.c_str(), AT_REMOVEDIR); // only when empty
        } else if (S_ISREG(status.st_mode) && status.st_size == 0) {
            ::unlinkat(place->parent.get(), place->name.c_str(), 0);
        }
    }
}

} // namespace berth::build
