// SPDX-License-Identifier: Apache-2.0
// Finding what changed: by what an overlay's upper directory holds, or by comparing a whole tree
// with its layers.
#include "base/file.h"
#include "store/layer_tar.h"
#include "store/same_metadata.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace berth::store {

namespace {

// A directory on the way, its names and how far we are with them.
struct DifferenceFrame {
    DirectorySet tree;     // of one
    MergedDirectory lower; // the same directory in the layers below
    std::string path;
    std::vector<std::string> names;
    std::size_t next = 0;
    std::size_t position = 0;          // of its own entry
    bool drop_without_changes = false; // the entry, when nothing follows it

    const UniqueFd& directory() const { return tree[0]; }

    void close() {
        tree.close();
        lower.close();
    }

    Result<void> reopen() {
        TRY(tree.reopen());
        return lower.reopen();
    }
};

using Entries = std::vector<DiffEntry>;

std::string below(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "/" + name;
}

Error too_deep(const std::string& path) {
    return {
        ErrorKind::ResourceExhausted,
        "directories are nested more than " + std::to_string(tree_depth_limit) + " deep at " +
            path.substr(0, 200)};
}

// Absent when it was deleted or exchanged meanwhile.
std::optional<DirectorySet> open_subdirectory(const DirectorySet& parent, const std::string& name) {
    UniqueFd directory(
        openat(parent[0].get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) {
        return std::nullopt;
    }
    DirectorySet child = parent.below(name);
    child.add(parent, 0, std::move(directory));
    return child;
}

Result<DirectorySet> set_of_root(FdRef directory) {
    UniqueFd own(openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) {
        return errno_error("open directory");
    }
    DirectorySet root;
    TRY(root.add_root(std::move(own)));
    return root;
}

// The frame of a directory to go into, or none.
Result<std::optional<DifferenceFrame>>
visit_upper(Entries& entries, DifferenceFrame& frame, const std::string& name) {
    std::optional<DifferenceFrame> nothing;
    DiffEntry entry{.path = below(frame.path, name)};

    struct stat status {};

    if (fstatat(frame.directory().get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? Result(std::move(nothing)) : errno_error("stat " + entry.path);
    }
    std::optional<MergedDirectory::Entry> old = TRY(frame.lower.find(name));
    entry.in_parent = old.has_value();
    if (is_whiteout(status)) {
        if (old) {
            entry.kind = DiffEntry::Kind::Deleted;
            entries.push_back(std::move(entry));
        }
        return nothing;
    }
    if (S_ISSOCK(status.st_mode)) {
        return nothing;
    }
    if (!S_ISDIR(status.st_mode)) {
        entries.push_back(std::move(entry));
        return nothing;
    }
    auto directory = open_subdirectory(frame.tree, name);
    if (!directory) {
        return nothing;
    }
    DifferenceFrame child{.tree = std::move(*directory), .path = entry.path};
    entry.opaque = old.has_value() && TRY(is_opaque(child.directory()));
    bool hides = entry.opaque || !old || !S_ISDIR(old->status.st_mode);
    if (!hides) {
        child.lower = TRY(frame.lower.child(name));
        entry.only_time = same_owner_and_mode(status, old->status) &&
                          TRY(same_attributes(frame.directory(), *old->directory, name));
        if (entry.only_time && same_time(status, old->status)) {
            entry.kind = DiffEntry::Kind::Traversed;
        }
    }
    child.names = TRY(directory_names(child.directory()));
    entries.push_back(std::move(entry));
    return std::optional(std::move(child));
}

Result<std::string> link_target(FdRef directory, const std::string& name) {
    std::string target(PATH_MAX, '\0');
    ssize_t size = readlinkat(directory.get(), name.c_str(), target.data(), target.size());
    if (size < 0) {
        return errno_error("read link " + name);
    }
    target.resize(static_cast<std::size_t>(size));
    return target;
}

// Content is compared by size and time, as Docker's plain driver does: reading everything would
// take minutes. Attributes are, since a capability changes neither.
Result<bool> same_file(
    FdRef directory,
    const std::string& name,
    const struct stat& status,
    const MergedDirectory::Entry& old) {
    const struct stat& before = old.status;
    if (status.st_mode != before.st_mode || status.st_uid != before.st_uid ||
        status.st_gid != before.st_gid || status.st_rdev != before.st_rdev ||
        status.st_size != before.st_size || !same_time(status, before)) {
        return false;
    }
    if (!TRY(same_attributes(directory, *old.directory, name))) {
        return false;
    }
    if (!S_ISLNK(status.st_mode)) {
        return true;
    }
    return TRY(link_target(directory, name)) == TRY(link_target(*old.directory, name));
}

Result<std::vector<std::string>> names_now_and_before(const DifferenceFrame& frame) {
    std::vector<std::string> now = TRY(directory_names(frame.directory()));
    std::vector<std::string> before = TRY(frame.lower.names());
    std::vector<std::string> all;
    std::set_union(now.begin(), now.end(), before.begin(), before.end(), std::back_inserter(all));
    return all;
}

Result<std::optional<DifferenceFrame>>
visit_tree(Entries& entries, DifferenceFrame& frame, const std::string& name) {
    std::optional<DifferenceFrame> nothing;
    std::optional<MergedDirectory::Entry> old = TRY(frame.lower.find(name));
    DiffEntry entry{.path = below(frame.path, name), .in_parent = old.has_value()};

    struct stat status {};

    if (fstatat(frame.directory().get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) {
            return errno_error("stat " + entry.path);
        }
        entry.kind = DiffEntry::Kind::Deleted;
        entries.push_back(std::move(entry));
        return nothing;
    }
    if (S_ISSOCK(status.st_mode)) {
        return nothing;
    }
    if (!S_ISDIR(status.st_mode)) {
        if (!old || !TRY(same_file(frame.directory(), name, status, *old))) {
            entries.push_back(std::move(entry));
        }
        return nothing;
    }
    auto directory = open_subdirectory(frame.tree, name);
    if (!directory) {
        return nothing;
    }
    DifferenceFrame child{.tree = std::move(*directory), .path = entry.path};
    if (old && S_ISDIR(old->status.st_mode)) {
        child.lower = TRY(frame.lower.child(name));
        entry.only_time = same_owner_and_mode(status, old->status) &&
                          TRY(same_attributes(frame.directory(), *old->directory, name));
        child.drop_without_changes = entry.only_time && same_time(status, old->status);
    }
    entry.kind = child.drop_without_changes ? DiffEntry::Kind::Traversed : DiffEntry::Kind::Present;
    child.position = entries.size();
    child.names = TRY(names_now_and_before(child));
    entries.push_back(std::move(entry));
    return std::optional(std::move(child));
}

using Visit =
    Result<std::optional<DifferenceFrame>> (*)(Entries&, DifferenceFrame&, const std::string&);

// Depth first, names in order.
Result<Entries> walk(DifferenceFrame root, Visit visit) {
    Entries entries;
    std::vector<DifferenceFrame> frames;
    frames.push_back(std::move(root));
    while (!frames.empty()) {
        DifferenceFrame& frame = frames.back();
        if (frame.next < frame.names.size()) {
            TRY(frame.reopen());
            std::optional<DifferenceFrame> child =
                TRY(visit(entries, frame, frame.names[frame.next++]));
            if (child) {
                if (frames.size() >= tree_depth_limit) {
                    return too_deep(child->path);
                }
                frames.push_back(std::move(*child));
                close_far(frames);
            }
            continue;
        }
        if (frame.drop_without_changes && entries.size() == frame.position + 1) {
            entries.pop_back();
        }
        frames.pop_back();
    }
    return entries;
}

} // namespace

Result<Difference>
overlay_difference(const std::string& upper, const std::vector<std::string>& layers) {
    Difference difference;
    difference.tree = TRY(open_file(upper, O_RDONLY | O_DIRECTORY));
    DifferenceFrame root;
    root.tree = TRY(set_of_root(difference.tree));
    root.lower = TRY(MergedDirectory::open(layers));
    root.names = TRY(directory_names(difference.tree));
    difference.entries = TRY(walk(std::move(root), visit_upper));
    return difference;
}

Result<Difference>
tree_difference(const std::string& tree, const std::vector<std::string>& layers) {
    Difference difference;
    difference.tree = TRY(open_file(tree, O_RDONLY | O_DIRECTORY));
    DifferenceFrame root;
    root.tree = TRY(set_of_root(difference.tree));
    root.lower = TRY(MergedDirectory::open(layers));
    root.names = TRY(names_now_and_before(root));
    difference.entries = TRY(walk(std::move(root), visit_tree));
    return difference;
}

Result<std::uint64_t> directory_usage(FdRef directory) {
    std::set<std::pair<dev_t, ino_t>> seen; // hard links count once
    std::uint64_t total = 0;
    std::vector<DifferenceFrame> frames(1);
    frames[0].tree = TRY(set_of_root(directory));
    frames[0].names = TRY(directory_names(directory));
    while (!frames.empty()) {
        DifferenceFrame& frame = frames.back();
        if (frame.next == frame.names.size()) {
            frames.pop_back();
            continue;
        }
        if (!frame.reopen().ok()) {
            frames.pop_back(); // moved or deleted meanwhile
            continue;
        }
        const std::string& name = frame.names[frame.next++];

        struct stat status {};

        if (fstatat(frame.directory().get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            continue; // deleted meanwhile
        }
        if (S_ISREG(status.st_mode) &&
            (status.st_nlink == 1 || seen.emplace(status.st_dev, status.st_ino).second)) {
            total += static_cast<std::uint64_t>(status.st_size);
        }
        if (S_ISDIR(status.st_mode) && frames.size() < tree_depth_limit) {
            if (auto below_it = open_subdirectory(frame.tree, name)) {
                DifferenceFrame child{.tree = std::move(*below_it)};
                child.names = TRY(directory_names(child.directory()));
                frames.push_back(std::move(child));
                close_far(frames);
            }
        }
    }
    return total;
}

} // namespace berth::store
