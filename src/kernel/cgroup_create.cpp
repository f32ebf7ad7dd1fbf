// SPDX-License-Identifier: Apache-2.0
// Making groups: directories, and controllers from the root of version 2 down to the leaf.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_files.h"

#include <algorithm>
#include <cerrno>

namespace berth::kernel {

namespace {

// What Docker's stats show, and cpu: in its caller's group a container would share the caller's
// part of the processors. The others say nothing until a limit asks for them, and would take 0.05
// to 0.1 ms each; they are made then.
constexpr std::string_view usual_controllers[] = {"cpu", "memory", "pids", "cpuacct", "blkio"};
// Version 2 does their work where it is mounted.
constexpr std::string_view version1_only_controllers[] = {"devices", "freezer"};
// Of version 2, for everything below the root.
constexpr std::string_view unified_controllers[] = {
    "cpu", "cpuset", "io", "memory", "pids", "hugetlb"};

// A new cpuset group of version 1 has no processors and no memory, and nobody can join it.
Result<void> inherit_cpuset(const std::string& root, const std::string& directory) {
    std::string walked = root;
    for (std::string_view part : split(std::string_view(directory).substr(root.size()), '/')) {
        if (part.empty()) {
            continue;
        }
        std::string next = walked + "/" + std::string(part);
        for (std::string_view file : {"cpuset.cpus", "cpuset.mems"}) {
            if (trim(TRY(cgroup_files::read_text(next, file))).empty()) {
                std::string above = TRY(cgroup_files::read_text(walked, file));
                TRY(cgroup_files::write_file(next, file, trim(above)));
            }
        }
        walked = std::move(next);
    }
    return ok();
}

bool has_controllers(const std::string& directory, const std::vector<std::string>& wanted) {
    Result<std::string> text = cgroup_files::read_text(directory, "cgroup.controllers");
    if (!text.ok()) {
        return false;
    }
    std::vector<std::string_view> there = words(*text);
    return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
        return std::find(there.begin(), there.end(), name) != there.end();
    });
}

// Controllers of the root that this code or a limit uses; none on a hybrid machine.
Result<std::vector<std::string>>
wanted_unified_controllers(const std::string& root, const CgroupLimits& limits) {
    std::string text = TRY(cgroup_files::read_text(root, "cgroup.controllers"));
    std::vector<std::string> wanted;
    for (std::string_view there : words(text)) {
        bool used = there == "rdma" && !limits.rdma.empty();
        for (std::string_view known : unified_controllers) {
            used = used || known == there;
        }
        for (const auto& [file, value] : limits.unified) {
            used = used || file.starts_with(std::string(there) + ".");
        }
        if (used) {
            wanted.emplace_back(there);
        }
    }
    return wanted;
}

// The root of a cgroup namespace is a group like others (the machine's root has no such file), and
// while the processes of the container are in it, it has no controllers for groups below: they move
// aside, as an engine in a container needs it. Before the first controller: with the processes
// there, those for threads would be given and make the group one of threads, which takes no others.
Result<void> move_processes_aside(const std::string& root) {
    const std::string aside = root + "/init";
    constexpr int rounds = 16; // what forks meanwhile is found in the next
    for (int round = 0; round < rounds; ++round) {
        std::string text = TRY(cgroup_files::read_text(root, "cgroup.procs"));
        std::vector<std::string_view> members = words(text);
        if (members.empty()) {
            break;
        }
        TRY(make_directories(aside));
        for (std::string_view pid : members) {
            Result<void> moved = cgroup_files::write_file(aside, "cgroup.procs", pid);
            if (!moved.ok() && moved.error().error_number() != ESRCH) {
                return moved;
            }
        }
    }
    return ok();
}

// "No internal processes": a group gives controllers to its children only while it has no
// processes itself, so each ancestor is asked from the top.
Result<void>
enable_controllers(const std::string& root, const std::string& path, const CgroupLimits& limits) {
    std::vector<std::string> wanted = TRY(wanted_unified_controllers(root, limits));
    if (wanted.empty() || has_controllers(root + path, wanted)) {
        return ok();
    }
    if (berth::exists(root + "/cgroup.type")) {
        TRY_CONTEXT(move_processes_aside(root), "move the container's processes aside");
    }
    std::string walked = root;
    for (std::string_view part : split(path, '/')) {
        if (!part.empty()) {
            walked += "/" + std::string(part);
        }
        if (walked == root + path) {
            break;
        }
        // One by one: a machine may refuse one (realtime tasks block cpu) and give the others.
        for (const std::string& controller : wanted) {
            Result<void> enabled =
                cgroup_files::write_file(walked, "cgroup.subtree_control", "+" + controller);
            if (!enabled.ok() && (controller == "memory" || controller == "pids")) {
                return std::move(enabled).error().with_context(
                    "enable the cgroup controller " + controller);
            }
        }
    }
    return ok();
}

} // namespace

namespace cgroup_files {

Result<std::string> checked_path(const std::string& path) {
    for (std::string_view part : split(path, '/')) {
        if (part == "..") {
            return invalid_argument("cgroup path \"" + path + "\" has a \"..\"");
        }
    }
    std::string clean = clean_path("/" + path);
    if (clean == "/") {
        return invalid_argument("a container cannot have the root cgroup");
    }
    return clean;
}

Result<bool> populated(const std::string& directory) {
    auto events = TRY(cgroup_files::read_table(directory, "cgroup.events"));
    return events["populated"] != 0;
}

Result<std::string> make_version1_directory(
    const std::string& mount_point, const std::string& path, const std::string& controller) {
    std::string directory = mount_point + path;
    TRY(make_directories(directory));
    if (controller == "cpuset") {
        TRY_CONTEXT(inherit_cpuset(mount_point, directory), "cpuset");
    }
    return directory;
}

} // namespace cgroup_files

Result<Cgroup> Cgroup::create(
    const std::string& path,
    const CgroupLimits& limits,
    CgroupControllers controllers,
    CgroupOwner owner) {
    const CgroupLayout& layout = *TRY(cgroup_layout());
    Cgroup group(TRY(cgroup_files::checked_path(path)), {});
    if (!layout.unified.empty()) {
        std::string directory = layout.unified + group.path_;
        TRY(make_directories(directory));
        if (owner != CgroupOwner::SystemdScope &&
            cgroup_files::populated(directory).value_or(false)) {
            return conflict("cgroup " + directory + " has processes already");
        }
        if (layout.mode == CgroupMode::Version2 && owner != CgroupOwner::SystemdScope) {
            TRY(enable_controllers(layout.unified, group.path_, limits));
        }
        group.directories_[""] = std::move(directory);
    }
    if (layout.mode == CgroupMode::Version2) {
        return group;
    }
    if (owner != CgroupOwner::Own && !layout.named_systemd.empty()) {
        group.directories_[systemd_hierarchy] = TRY(cgroup_files::make_version1_directory(
            layout.named_systemd, group.path_, systemd_hierarchy));
    }
    std::vector<std::string> wanted = cgroup_files::needed_controllers(limits);
    wanted.insert(wanted.end(), std::begin(usual_controllers), std::end(usual_controllers));
    if (layout.mode == CgroupMode::Version1) {
        wanted.insert(
            wanted.end(),
            std::begin(version1_only_controllers),
            std::end(version1_only_controllers));
    }
    if (controllers == CgroupControllers::All) {
        for (const auto& [controller, mount_point] : layout.controllers) {
            wanted.push_back(controller);
        }
    }
    for (const std::string& controller : wanted) {
        auto mount = layout.controllers.find(controller);
        if (mount != layout.controllers.end() && !group.directories_.contains(controller)) {
            group.directories_[controller] =
                TRY(cgroup_files::make_version1_directory(mount->second, group.path_, controller));
        }
    }
    return group;
}

} // namespace berth::kernel
