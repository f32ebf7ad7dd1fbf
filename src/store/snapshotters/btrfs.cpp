// SPDX-License-Identifier: Apache-2.0
// A layer's subvolume is put together under another name (diff.making) and appears as a read-only
// snapshot of that. The kernel writes a snapshot's data before the snapshot itself, so one that is
// there is whole, after a power cut too.
#include "store/snapshotters/btrfs.h"

#include "base/file.h"
#include "kernel/btrfs.h"
#include "store/disk_error.h"
#include "store/layer_tar.h"
#include "store/snapshotters/copy.h"
#include "store/snapshotters/mapped_root.h"
#include "store/tree_copy.h"
#include "store/tree_removal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

using kernel::SubvolumeMode;

std::string subvolume_of(const std::string& layer) {
    return layer + ".subvolume";
}

Result<UniqueFd> open_subvolume_directory(const std::string& path) {
    return disk_result(open_file(path, O_RDONLY | O_DIRECTORY));
}

// A path as its directory, opened, and its name there.
struct Place {
    UniqueFd directory;
    std::string name;

    static Result<Place> of(const std::string& path) {
        const std::size_t slash = path.rfind('/');
        return Place{TRY(open_subvolume_directory(path.substr(0, slash))), path.substr(slash + 1)};
    }
};

Result<void> create(const std::string& path) {
    const Place place = TRY(Place::of(path));
    TRY(disk_result(kernel::create_subvolume(place.directory, place.name)));
    if (fchmodat(place.directory.get(), place.name.c_str(), 0755, 0) != 0) { // whatever the umask
        return errno_error("chmod " + path);
    }
    return ok();
}

Result<void> snapshot(const std::string& source, const std::string& path, SubvolumeMode mode) {
    const UniqueFd from = TRY(open_subvolume_directory(source));
    const Place place = TRY(Place::of(path));
    return disk_result(kernel::snapshot_subvolume(from, place.directory, place.name, mode));
}

Result<void> write_out(const std::string& path) {
    const UniqueFd directory = TRY(open_subvolume_directory(path));
    return syncfs(directory.get()) == 0 ? ok() : disk_error(errno_error("sync " + path));
}

// `below` is empty for a base layer.
Result<void> make_subvolume(const std::string& layer, const std::string& below) {
    const std::string making = layer + ".making";
    TRY(remove_tree_of(making)); // of one that broke off
    TRY(below.empty() ? create(making) : snapshot(below, making, SubvolumeMode::Writable));
    Result<void> made = write_out(layer); // else each file that is shared waits for its own data
    if (made.ok()) {
        made = apply_layer(layer, making);
    }
    if (made.ok()) {
        made = snapshot(making, subvolume_of(layer), SubvolumeMode::ReadOnly);
    }
    Result<void> removed = remove_tree_of(making);
    TRY(std::move(made));
    return removed;
}

Result<void> try_out(const std::string& directory) {
    TRY(create(directory + "/one"));
    TRY(snapshot(directory + "/one", directory + "/two", SubvolumeMode::ReadOnly));
    TRY(remove_tree_of(directory + "/two"));
    return remove_tree_of(directory + "/one");
}

} // namespace

Result<void> BtrfsSnapshotter::probe(const std::string& root) {
    const UniqueFd directory = TRY(open_subvolume_directory(root));
    if (!kernel::is_on_btrfs(directory)) {
        return not_implemented(root + " is not on a btrfs file system");
    }
    const TemporaryDirectory place = TRY(TemporaryDirectory::create(root));
    Result<void> works = try_out(place.path());
    if (!works.ok() && works.error().kind() != ErrorKind::ResourceExhausted) {
        return not_implemented(
            "btrfs's subvolumes do not work on " + root + ": " + works.error().message());
    }
    return works;
}

Result<void> BtrfsSnapshotter::prepare(const WritableLayer& layer) {
    if (layer.layers.empty()) {
        TRY(create(layer.root()));
    } else {
        const std::string image = TRY(ensure_subvolume(layer.layers));
        TRY(snapshot(image, layer.root(), SubvolumeMode::Writable));
    }
    if (layer.size_limit == 0) {
        return ok();
    }
    const UniqueFd root = TRY(open_subvolume_directory(layer.root()));
    auto limited = kernel::limit_subvolume(root, layer.size_limit);
    return limited.ok()
               ? ok()
               : Result<void>(not_implemented(
                     "a limit of size needs btrfs's quotas: " + limited.error().message()));
}

Result<std::string> BtrfsSnapshotter::ensure_subvolume(const std::vector<std::string>& layers) {
    const std::lock_guard lock(making_);
    std::size_t missing = 0;
    while (missing < layers.size() && !exists(subvolume_of(layers[missing]))) {
        ++missing;
    }
    // From the base up.
    while (missing > 0) {
        const std::string below = missing < layers.size() ? subvolume_of(layers[missing]) : "";
        TRY_CONTEXT(make_subvolume(layers[missing - 1], below), layers[missing - 1]);
        --missing;
    }
    return subvolume_of(layers.front());
}

Result<std::string> BtrfsSnapshotter::mount(const WritableLayer& layer, WriteMode) {
    return mount_mapped(layer, layer.root());
}

bool BtrfsSnapshotter::is_mounted(const WritableLayer& layer) {
    return is_mapped(layer);
}

Result<void> BtrfsSnapshotter::unmount(const WritableLayer& layer) {
    return unmount_mapped(layer);
}

Result<Difference> BtrfsSnapshotter::difference(const WritableLayer& layer) {
    std::vector<std::string> before;
    if (!layer.layers.empty()) {
        before.push_back(TRY(ensure_subvolume(layer.layers)));
    }
    return tree_difference(layer.root(), before);
}

Result<std::uint64_t> BtrfsSnapshotter::usage(const WritableLayer& layer) {
    const Difference written = TRY(difference(layer));
    return written_bytes(written);
}

Result<bool> BtrfsSnapshotter::convert_to_layer(const WritableLayer&, const std::string&) {
    return false; // a layer's directory holds the difference alone
}

Result<void> BtrfsSnapshotter::forget_layer(const std::string& layer) {
    const std::lock_guard lock(making_);
    return remove_tree_of(subvolume_of(layer));
}

std::vector<std::pair<std::string, std::string>>
BtrfsSnapshotter::describe(const WritableLayer&) const {
    return {};
}

} // namespace berth::store
