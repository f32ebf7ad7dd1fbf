// SPDX-License-Identifier: Apache-2.0
// Groups that are seen, not made: none at all, and those below a container's own.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"

namespace berth::kernel {

namespace {

// Of a line "4:memory:/path" of /proc/<pid>/cgroup; in version 2 there is no name.
std::optional<std::string> path_in(pid_t pid, std::string_view hierarchy) {
    Result<std::string> text = read_file("/proc/" + std::to_string(pid) + "/cgroup");
    if (!text.ok()) {
        return std::nullopt;
    }
    for (std::string_view line : split(*text, '\n')) {
        std::optional<Cut> number = cut(line, ":");
        std::optional<Cut> name = number ? cut(number->after, ":") : std::nullopt;
        if (name && name->before == hierarchy) {
            return std::string(name->after);
        }
    }
    return std::nullopt;
}

} // namespace

Cgroup Cgroup::none() {
    return Cgroup("", {});
}

Result<std::string> Cgroup::unified_path_of(pid_t pid) {
    std::optional<std::string> path = path_in(pid, "");
    return path ? Result<std::string>(std::move(*path))
                : Error(ErrorKind::Unavailable, "this machine has no cgroup version 2");
}

Result<std::string> Cgroup::systemd_path_of(pid_t pid) {
    std::optional<std::string> path = path_in(pid, systemd_hierarchy);
    return path ? Result<std::string>(std::move(*path))
                : Error(ErrorKind::Unavailable, "this machine has no cgroup hierarchy of systemd");
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
