// SPDX-License-Identifier: Apache-2.0
// Plain copies: the root file system is a directory, and what changed is found by comparing.
#include "store/snapshotters/copy.h"

#include "base/file.h"
#include "kernel/path.h"
#include "kernel/project_quota.h"
#include "store/disk_error.h"
#include "store/layer_tar.h"
#include "store/snapshotters/mapped_root.h"
#include "store/tree_copy.h"

#include <optional>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::store {

Result<void> CopySnapshotter::prepare(const WritableLayer& layer) {
    std::optional<kernel::HeldToLimits> held;
    if (layer.size_limit != 0) {
        TRY(limits_.limit(layer.directory, layer.size_limit));
        held.emplace(); // the image's files count
    }
    std::string root = layer.root();
    TRY(disk_result(make_directories(root, 0755)));
    if (layer.layers.empty()) {
        return ok();
    }
    MergedDirectory image = TRY(MergedDirectory::open(layer.layers));
    TRY(copy_merged_tree(std::move(image), root));
    UniqueFd from = TRY(open_file(layer.layers.front(), O_RDONLY | O_DIRECTORY));
    UniqueFd to = TRY(open_file(root, O_RDONLY | O_DIRECTORY));
    return copy_directory_metadata(from, to);
}

Result<std::string> CopySnapshotter::mount(const WritableLayer& layer, WriteMode) {
    return mount_mapped(layer, layer.root());
}

bool CopySnapshotter::is_mounted(const WritableLayer& layer) {
    return is_mapped(layer);
}

Result<void> CopySnapshotter::unmount(const WritableLayer& layer) {
    return unmount_mapped(layer);
}

Result<Difference> CopySnapshotter::difference(const WritableLayer& layer) {
    return tree_difference(layer.root(), layer.layers);
}

Result<std::uint64_t> CopySnapshotter::usage(const WritableLayer& layer) {
    const Difference written = TRY(difference(layer));
    return written_bytes(written);
}

Result<std::uint64_t> written_bytes(const Difference& written) {
    std::uint64_t total = 0;
    std::set<ino_t> seen; // hard links count once
    for (const DiffEntry& entry : written.entries) {
        if (entry.kind != DiffEntry::Kind::Present) {
            continue;
        }
        Result<UniqueFd> file =
            kernel::open_in_root(written.tree, entry.path, O_PATH, 0, kernel::FollowLinks::NotLast);

        struct stat status {};

        if (file.ok() && fstat(file->get(), &status) == 0 && S_ISREG(status.st_mode) &&
            (status.st_nlink == 1 || seen.insert(status.st_ino).second)) {
            total += static_cast<std::uint64_t>(status.st_size);
        }
    }
    return total;
}

Result<bool> CopySnapshotter::convert_to_layer(const WritableLayer&, const std::string&) {
    return false;
}

std::vector<std::pair<std::string, std::string>>
CopySnapshotter::describe(const WritableLayer&) const {
    return {};
}

} // namespace berth::store
