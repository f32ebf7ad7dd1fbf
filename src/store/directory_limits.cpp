// SPDX-License-Identifier: Apache-2.0
// A project of its own for each directory. The directory itself is out of a container's sight, so
// what it says about its project is true, whatever root in the container does to its own files.
#include "store/directory_limits.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>

namespace berth::store {

namespace {

// Above those of volumes (engine/volume_local.cpp), and what others count up from 1.
constexpr std::uint32_t first_project = 0x0BF0'0000;
constexpr std::uint32_t last_project = 0x0BFF'FFFF;

bool is_ours(std::uint32_t project) {
    return project >= first_project && project <= last_project;
}

Result<UniqueFd> open_directory(const std::string& path) {
    return open_file(path, O_RDONLY | O_DIRECTORY);
}

std::uint32_t project_at(const std::string& directory) {
    const auto place = open_directory(directory);
    return place.ok() ? kernel::project_of(*place).value_or(0) : 0;
}

} // namespace

void DirectoryLimits::look_for_used(const std::string& parent) {
    const auto names = list_directory(parent);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        const std::uint32_t project = project_at(parent + "/" + name);
        if (is_ours(project)) {
            used_.insert(project);
        }
    }
    last_ = used_.empty() ? first_project - 1 : *used_.rbegin();
    knows_used_ = true;
}

// As long unused as possible.
Result<std::uint32_t> DirectoryLimits::unused() const {
    if (used_.size() > last_project - first_project) {
        return Error(
            ErrorKind::ResourceExhausted, "all project ids for sizes of containers are used");
    }
    std::uint32_t project = last_;
    do {
        project = project >= last_project ? first_project : project + 1;
    } while (used_.contains(project));
    return project;
}

Result<void> DirectoryLimits::limit(const std::string& directory, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::string parent = directory.substr(0, directory.rfind('/'));
    if (!knows_used_) {
        look_for_used(parent);
    }
    const std::uint32_t project = TRY(unused());
    const UniqueFd place = TRY(open_directory(directory));
    auto limited = kernel::limit_directory(place, project, bytes);
    if (limited.ok()) {
        used_.insert(project);
        last_ = project;
        return ok();
    }
    if (!kernel::lacks_project_quota(limited.error())) {
        return limited;
    }
    return not_implemented(
        "a limit of size needs an ext4 or xfs file system with the mount option 'prjquota' below " +
        parent + ": " + limited.error().message());
}

std::optional<kernel::RaisedLimit> DirectoryLimits::make_room(const std::string& directory) {
    constexpr std::uint64_t room = 1U << 20; // XFS reserves a good part of it for a mkdir
    auto place = open_directory(directory);
    const std::uint32_t project = place.ok() ? kernel::project_of(*place).value_or(0) : 0;
    if (!is_ours(project)) {
        return std::nullopt;
    }
    auto raised = kernel::RaisedLimit::raise(*std::move(place), project, room);
    if (!raised.ok()) {
        log::debug("no room above a limit of size", {{"error", raised.error().message()}});
        return std::nullopt;
    }
    return *std::move(raised);
}

void DirectoryLimits::forget(const std::string& directory) {
    const auto place = open_directory(directory);
    const std::uint32_t project = place.ok() ? kernel::project_of(*place).value_or(0) : 0;
    if (!is_ours(project)) {
        return;
    }
    if (auto done = kernel::limit_directory(*place, project, 0); !done.ok()) {
        log::warn(
            "project quota of a container not given back, ignoring",
            {{"path", directory}, {"error", done.error().message()}});
    }
    const std::lock_guard lock(mutex_);
    used_.erase(project);
}

} // namespace berth::store
