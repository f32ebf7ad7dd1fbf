// SPDX-License-Identifier: Apache-2.0
// Several layers as one. The topmost of them that has a name decides about it; a directory is
// joined with those of the same name further down until one hides what is below it. What the layers
// hide of each other leaves no trace, what they hide of the layers below becomes a whiteout or an
// opaque directory of the one.
#include "base/file.h"
#include "store/layer_tar.h"
#include "store/same_metadata.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include <fcntl.h>

namespace berth::store {

namespace {

struct JointFrame {
    DirectorySet uppers; // topmost first
    MergedDirectory lower;
    std::string path;
    std::vector<std::string> names;
    std::size_t next = 0;

    void close() {
        uppers.close();
        lower.close();
    }

    Result<void> reopen() {
        TRY(uppers.reopen());
        return lower.reopen();
    }
};

Result<std::vector<std::string>> all_names(const DirectorySet& directories) {
    std::set<std::string> names;
    for (const UniqueFd& directory : directories) {
        for (std::string& name : TRY(directory_names(directory))) {
            names.insert(std::move(name));
        }
    }
    return std::vector<std::string>(names.begin(), names.end());
}

// False when there is none.
Result<bool> stat_name(FdRef directory, const std::string& name, struct stat& status) {
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        return true;
    }
    return errno == ENOENT ? Result<bool>(false) : errno_error("stat " + name);
}

struct Joined {
    DirectorySet directories;
    bool hides = false; // what the layers below all of them have
};

// The directory `name` in the uppers from `first` on, which has it.
Result<Joined>
join_directories(const DirectorySet& uppers, std::size_t first, const std::string& name) {
    Joined joined;
    joined.directories = uppers.below(name);
    for (std::size_t i = first; i < uppers.size() && !joined.hides; ++i) {
        struct stat status {};

        if (!TRY(stat_name(uppers[i], name, status))) {
            continue;
        }
        if (!S_ISDIR(status.st_mode)) {
            joined.hides = true;
            break;
        }
        UniqueFd directory(::openat(
            uppers[i].get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!directory) {
            return errno_error("open " + name);
        }
        joined.hides = TRY(is_opaque(directory));
        joined.directories.add(uppers, i, std::move(directory));
    }
    return joined;
}

// The frame of a directory to go into, or none.
Result<std::optional<JointFrame>>
visit(std::vector<DiffEntry>& entries, JointFrame& frame, const std::string& name) {
    std::optional<JointFrame> nothing;

    struct stat status {};

    std::size_t owner = 0;
    while (owner < frame.uppers.size() && !TRY(stat_name(frame.uppers[owner], name, status))) {
        ++owner;
    }
    if (owner == frame.uppers.size() || S_ISSOCK(status.st_mode)) {
        return nothing;
    }
    DiffEntry entry{.path = frame.path.empty() ? name : frame.path + "/" + name};
    const std::optional<MergedDirectory::Entry> old = TRY(frame.lower.find(name));
    entry.in_parent = old.has_value();
    if (is_whiteout(status)) {
        if (old) {
            entry.kind = DiffEntry::Kind::Deleted;
            entries.push_back(std::move(entry));
        }
        return nothing;
    }
    if (!S_ISDIR(status.st_mode)) {
        entries.push_back(std::move(entry));
        return nothing;
    }
    Joined joined = TRY(join_directories(frame.uppers, owner, name));
    JointFrame child;
    child.path = entry.path;
    child.names = TRY(all_names(joined.directories));
    child.uppers = std::move(joined.directories);
    entry.opaque = old.has_value() && joined.hides;
    if (old && S_ISDIR(old->status.st_mode) && !joined.hides) {
        child.lower = TRY(frame.lower.child(name));
        entry.only_time = same_owner_and_mode(status, old->status) &&
                          TRY(same_attributes(frame.uppers[owner], *old->directory, name));
        if (entry.only_time && same_time(status, old->status)) {
            entry.kind = DiffEntry::Kind::Traversed;
        }
    }
    entries.push_back(std::move(entry));
    return std::optional(std::move(child));
}

} // namespace

Result<Difference> joint_difference(
    UniqueFd root, const std::vector<std::string>& uppers, const std::vector<std::string>& layers) {
    Difference difference;
    difference.tree = std::move(root);
    std::vector<JointFrame> frames(1);
    for (const std::string& upper : uppers) {
        UniqueFd directory = TRY(open_file(upper, O_RDONLY | O_DIRECTORY));
        TRY(frames[0].uppers.add_root(std::move(directory)));
    }
    frames[0].lower = TRY(MergedDirectory::open(layers));
    frames[0].names = TRY(all_names(frames[0].uppers));
    while (!frames.empty()) {
        JointFrame& frame = frames.back();
        if (frame.next == frame.names.size()) {
            frames.pop_back();
            continue;
        }
        TRY(frame.reopen());
        const std::string name = frame.names[frame.next++];
        std::optional<JointFrame> child = TRY(visit(difference.entries, frame, name));
        if (!child) {
            continue;
        }
        if (frames.size() >= tree_depth_limit) {
            return Error(
                ErrorKind::ResourceExhausted,
                "directories are nested more than " + std::to_string(tree_depth_limit) + " deep");
        }
        frames.push_back(std::move(*child));
        close_far(frames);
    }
    return difference;
}

} // namespace berth::store
