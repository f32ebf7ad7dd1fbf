// SPDX-License-Identifier: Apache-2.0
// Where the control group file systems are. Usually /sys/fs/cgroup says it in a few statfs calls;
// mountinfo, which grows with every container, is read only when it does not.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"

#include <linux/magic.h>

#include <array>

#include <sys/stat.h>
#include <sys/vfs.h>

namespace berth::kernel {

namespace {

constexpr std::string_view usual_root = "/sys/fs/cgroup";
// Where systemd mounts its own hierarchy of version 1.
constexpr std::string_view systemd_folder = "systemd";
constexpr auto known_controllers = std::to_array<std::string_view>(
    {"cpu",
     "cpuacct",
     "cpuset",
     "memory",
     "devices",
     "freezer",
     "blkio",
     "pids",
     "hugetlb",
     "net_cls",
     "net_prio",
     "perf_event",
     "rdma",
     "misc"});

bool is_controller(std::string_view name) {
    for (std::string_view known : known_controllers) {
        if (known == name) {
            return true;
        }
    }
    return false;
}

void settle_mode(CgroupLayout& layout) {
    layout.mode = layout.controllers.empty() ? CgroupMode::Version2
                  : layout.unified.empty()   ? CgroupMode::Version1
                                             : CgroupMode::Hybrid;
}

std::optional<decltype(statfs::f_type)> file_system_of(const std::string& path) {
    struct statfs system {};

    if (::statfs(path.c_str(), &system) < 0) {
        return std::nullopt;
    }
    return system.f_type;
}

std::optional<CgroupLayout> scan_usual_root() {
    const std::string root(usual_root);
    CgroupLayout layout;
    if (file_system_of(root) == CGROUP2_SUPER_MAGIC) {
        layout.unified = root;
        settle_mode(layout);
        return layout;
    }
    Result<std::vector<std::string>> names = list_directory(root);
    if (!names.ok()) {
        return std::nullopt;
    }
    for (const std::string& name : *names) {
        const std::string path = root + "/" + name;

        struct stat status {};

        // "cpu" is a link to "cpu,cpuacct" where systemd mounts both together.
        if (::lstat(path.c_str(), &status) < 0 || !S_ISDIR(status.st_mode)) {
            continue;
        }
        auto type = file_system_of(path);
        if (type == CGROUP2_SUPER_MAGIC) {
            layout.unified = path;
        } else if (type == CGROUP_SUPER_MAGIC && name == systemd_folder) {
            layout.named_systemd = path;
        } else if (type == CGROUP_SUPER_MAGIC) {
            for (std::string_view part : split(name, ',')) {
                if (is_controller(part)) {
                    layout.controllers[std::string(part)] = path;
                }
            }
        }
    }
    if (layout.controllers.empty() && layout.unified.empty()) {
        return std::nullopt;
    }
    settle_mode(layout);
    return layout;
}

// "\040" -> " "
std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            Result<int> code = parse_number<int>(text.substr(i + 1, 3), 8);
            if (code.ok()) {
                plain += static_cast<char>(*code);
                i += 3;
                continue;
            }
        }
        plain += text[i];
    }
    return plain;
}

} // namespace

Result<CgroupLayout> parse_cgroup_layout(std::string_view mountinfo, std::string_view cgroup) {
    CgroupLayout layout;
    for (std::string_view line : split(mountinfo, '\n')) {
        std::optional<Cut> parts = cut(line, " - ");
        if (!parts) {
            continue;
        }
        std::vector<std::string_view> before = words(parts->before);
        std::vector<std::string_view> after = words(parts->after);
        if (before.size() < 5 || after.size() < 3) {
            continue;
        }
        std::string place = unescape(before[4]);
        if (after[0] == "cgroup2" && layout.unified.empty()) {
            layout.unified = place;
        } else if (after[0] == "cgroup") {
            for (std::string_view option : split(after[2], ',')) {
                if (is_controller(option)) {
                    layout.controllers.emplace(std::string(option), place);
                } else if (option == systemd_hierarchy) {
                    layout.named_systemd = place;
                }
            }
        }
    }
    if (layout.controllers.empty() && layout.unified.empty()) {
        return Error(ErrorKind::Unavailable, "no cgroup file system is mounted");
    }
    settle_mode(layout);
    for (std::string_view line : split(cgroup, '\n')) {
        std::optional<Cut> number = cut(line, ":");
        std::optional<Cut> parts = number ? cut(number->after, ":") : std::nullopt;
        if (parts) {
            for (std::string_view controller : split(parts->before, ',')) {
                layout.own_paths[std::string(controller)] = std::string(parts->after);
            }
        }
    }
    return layout;
}

Result<const CgroupLayout*> cgroup_layout() {
    static const Result<CgroupLayout> layout = []() -> Result<CgroupLayout> {
        if (std::optional<CgroupLayout> usual = scan_usual_root()) {
            return std::move(*usual);
        }
        return parse_cgroup_layout(
            TRY(read_file("/proc/self/mountinfo", 64U << 20)), TRY(read_file("/proc/self/cgroup")));
    }();
    if (!layout.ok()) {
        return Error(layout.error());
    }
    return &*layout;
}

} // namespace berth::kernel
