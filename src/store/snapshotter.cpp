// SPDX-License-Identifier: Apache-2.0
// The variants by name.
#include "store/snapshotter.h"

#include "store/snapshotters/copy.h"
#include "store/snapshotters/overlay.h"

#include <cerrno>

namespace berth::store {

Result<SnapshotterKind> parse_snapshotter_kind(std::string_view name) {
    if (name.empty() || name == "overlay2" || name == "overlay" || name == "overlayfs") {
        return SnapshotterKind::Overlay;
    }
    if (name == "vfs" || name == "copy") {
        return SnapshotterKind::Copy;
    }
    return invalid_argument("storage driver \"" + std::string(name) + "\" is not supported");
}

Result<std::unique_ptr<Snapshotter>>
create_snapshotter(SnapshotterKind kind, const std::string& root) {
    switch (kind) {
    case SnapshotterKind::Overlay: {
        auto overlay = std::make_unique<OverlaySnapshotter>();
        Result<void> works = overlay->probe(root);
        // A full disk tells nothing about overlayfs, and an engine has to start there to make room.
        if (!works.ok() && works.error().error_number() != ENOSPC) {
            return std::move(works).error();
        }
        return overlay;
    }
    case SnapshotterKind::Copy:
        return std::make_unique<CopySnapshotter>();
    }
    return internal_error("unknown snapshotter");
}

} // namespace berth::store
