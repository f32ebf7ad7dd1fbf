// SPDX-License-Identifier: Apache-2.0
// The variants by name.
#include "store/snapshotter.h"

#include "base/log.h"
#include "store/snapshotters/btrfs.h"
#include "store/snapshotters/copy.h"
#include "store/snapshotters/overlay.h"

#include <cerrno>

namespace berth::store {

namespace {

// A full disk tells nothing about what works on it, and an engine has to start there to make room.
bool is_impossible(const Result<void>& probed) {
    return !probed.ok() && probed.error().kind() != ErrorKind::ResourceExhausted &&
           probed.error().error_number() != ENOSPC;
}

Result<std::unique_ptr<Snapshotter>> choose_snapshotter(const std::string& root) {
    Result<std::unique_ptr<Snapshotter>> chosen =
        create_snapshotter(SnapshotterKind::Overlay, root);
    if (chosen.ok() || chosen.error().kind() != ErrorKind::NotImplemented) {
        return chosen;
    }
    const std::string why_no_overlay = chosen.error().message();
    chosen = create_snapshotter(SnapshotterKind::Btrfs, root);
    if (chosen.ok()) {
        log::info("containers' file systems are snapshots of btrfs", {{"because", why_no_overlay}});
        return chosen;
    }
    log::warn(
        "each container gets a copy of its image, slow and large, ignoring",
        {{"overlay2", why_no_overlay}, {"btrfs", chosen.error().message()}});
    return create_snapshotter(SnapshotterKind::Copy, root);
}

} // namespace

Result<SnapshotterKind> parse_snapshotter_kind(std::string_view name) {
    if (name.empty()) {
        return SnapshotterKind::Automatic;
    }
    if (name == "overlay2" || name == "overlay" || name == "overlayfs") {
        return SnapshotterKind::Overlay;
    }
    if (name == "btrfs") {
        return SnapshotterKind::Btrfs;
    }
    if (name == "vfs" || name == "copy") {
        return SnapshotterKind::Copy;
    }
    return invalid_argument(
        "storage driver \"" + std::string(name) +
        "\" is not supported: there are overlay2, btrfs and vfs");
}

Result<std::unique_ptr<Snapshotter>>
create_snapshotter(SnapshotterKind kind, const std::string& root) {
    switch (kind) {
    case SnapshotterKind::Automatic:
        return choose_snapshotter(root);
    case SnapshotterKind::Overlay: {
        auto overlay = std::make_unique<OverlaySnapshotter>();
        Result<void> works = overlay->probe(root);
        if (is_impossible(works)) {
            return std::move(works).error();
        }
        return overlay;
    }
    case SnapshotterKind::Btrfs: {
        Result<void> works = BtrfsSnapshotter::probe(root);
        if (is_impossible(works)) {
            return std::move(works).error();
        }
        return std::make_unique<BtrfsSnapshotter>();
    }
    case SnapshotterKind::Copy:
        return std::make_unique<CopySnapshotter>();
    }
    return internal_error("unknown snapshotter");
}

} // namespace berth::store
