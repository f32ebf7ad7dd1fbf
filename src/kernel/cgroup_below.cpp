// SPDX-License-Identifier: Apache-2.0
// Groups that are seen, not made: none at all, and those below a container's own.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"

namespace berth::kernel {

Cgroup Cgroup::none() {
    return Cgroup("", {});
}

Result<Cgroup> Cgroup::below(const std::map<std::string, std::string>& paths) const {
    Cgroup group(path_, directories_);
    for (const auto& [controller, path] : paths) {
        if (!controller.empty() && !directories_.contains(controller)) {
            return invalid_argument("unknown controller " + controller + " in --cgroup");
        }
        for (std::string_view part : split(path, '/')) {
            if (part == "..") {
                return invalid_argument("cgroup path \"" + path + "\" has a \"..\"");
            }
        }
        bool found = false;
        for (auto& [name, directory] : group.directories_) {
            if (!controller.empty() && name != controller) {
                continue;
            }
            const std::string wanted = clean_path(directory + "/" + path);
            // A path without a controller means the hierarchies that have it.
            if (berth::exists(wanted)) {
                directory = wanted;
                found = true;
            }
        }
        if (!found) {
            return not_found("cgroup \"" + path + "\" of the container does not exist");
        }
    }
    return group;
}

} // namespace berth::kernel
