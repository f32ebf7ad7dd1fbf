// SPDX-License-Identifier: Apache-2.0
// A container's runtime makes in the writable layer what it mounts things on and is not there
// already (store/mount_points.h). No part of what the container did.
#include "kernel/path.h"
#include "store/layer_tar.h"
#include "store/mount_points.h"

#include <algorithm>
#include <set>

#include <fcntl.h>
#include <unistd.h>

namespace berth::store {

namespace {

std::string_view parent_path(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

bool is_below(std::string_view path, std::string_view directory) {
    return path.size() > directory.size() && path.starts_with(directory) &&
           path[directory.size()] == '/';
}

// An empty file, or the link that stands for one; of a directory only that it is one.
bool serves_as_mount_point(FdRef tree, const std::string& path) {
    const auto place = kernel::open_parent_in_root(tree, path);
    if (!place.ok()) {
        return false;
    }

    struct stat status {};

    if (::fstatat(place->parent.get(), place->name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    if (S_ISLNK(status.st_mode)) {
        std::string target(mounts_link.size() + 1, '\0');
        const ssize_t length =
            ::readlinkat(place->parent.get(), place->name.c_str(), target.data(), target.size());
        return length == static_cast<ssize_t>(mounts_link.size()) &&
               target.starts_with(mounts_link);
    }
    return S_ISDIR(status.st_mode) || (S_ISREG(status.st_mode) && status.st_size == 0);
}

} // namespace

// From the last entry to the first, so that what is in a directory is decided before it is.
void leave_out_mount_points(Difference& difference, std::span<const std::string_view> paths) {
    std::vector<DiffEntry> kept; // backwards
    std::set<std::string_view> emptied;
    for (auto entry = difference.entries.rbegin(); entry != difference.entries.rend(); ++entry) {
        const bool has_contents = !kept.empty() && is_below(kept.back().path, entry->path);
        const bool is_named = std::find(paths.begin(), paths.end(), entry->path) != paths.end();
        const bool is_added = entry->kind == DiffEntry::Kind::Present && !entry->in_parent;
        const bool is_ours = is_named && is_added && !has_contents &&
                             serves_as_mount_point(difference.tree, entry->path);
        const bool is_trace =
            emptied.contains(entry->path) && entry->in_parent && entry->only_time && !has_contents;
        if (is_ours || is_trace) {
            emptied.insert(parent_path(entry->path));
        } else {
            kept.push_back(*entry);
        }
    }
    std::reverse(kept.begin(), kept.end());
    difference.entries = std::move(kept);
}

bool is_empty(const Difference& difference) {
    return std::all_of(
        difference.entries.begin(), difference.entries.end(), [](const DiffEntry& entry) {
            return entry.kind == DiffEntry::Kind::Traversed;
        });
}

} // namespace berth::store
