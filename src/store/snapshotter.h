// SPDX-License-Identifier: Apache-2.0
// How a chain of layer directories plus a writable one becomes a root file system. Layers are the
// same for every variant: directories or mounted images in overlay form (whiteouts are character
// devices 0/0, opaque directories have trusted.overlay.opaque). Variants differ in the writable
// part only: snapshotters/overlay.h mounts, snapshotters/btrfs.h makes snapshots,
// snapshotters/copy.h copies.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/owner_map.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

enum class ChangeKind : std::uint8_t { Modified, Added, Deleted };

struct Change {
    std::string path; // absolute in the root file system: "/etc/hosts"
    ChangeKind kind;

    bool operator==(const Change&) const = default;
};

// One entry of a difference, in the order of its tar stream.
struct DiffEntry {
    enum class Kind : std::uint8_t {
        Present,   // added or modified: the entry is in the tree
        Traversed, // a directory that did not change itself, but something below did
        Deleted,
    };

    std::string path; // relative: "etc/hosts"
    Kind kind = Kind::Present;
    bool in_parent = false; // there is something of that name in the layers below
    bool opaque = false;    // a directory that hides what the layers below have in it
    // A directory of which nothing but the time differs from the one in the layers below.
    bool only_time = false;
};

struct Difference {
    UniqueFd tree; // the directory that paths of Present entries are relative to
    std::vector<DiffEntry> entries;
};

// A writable layer on disk. Layer directories come topmost first.
struct WritableLayer {
    std::string directory;           // of the snapshotter's own use; exists
    std::vector<std::string> layers; // empty: starts from nothing
    // What prepare() is to let it grow to, in bytes of the disk; 0: as far as the disk goes.
    std::uint64_t size_limit = 0;
    // SELinux's, for all that is in it once it is mounted; known to prepare() alone. Variants that
    // do not mount have none.
    std::string mount_label{};
    // Whose files a mount is to show; nobody's: as they are on the disk.
    std::shared_ptr<const kernel::OwnerMap> owners{};

    // What a container has as its root.
    std::string root() const { return directory + "/rootfs"; }
};

// Volatile: nothing is ever synced, for layers whose loss costs nothing (builds).
enum class WriteMode : std::uint8_t { Normal, Volatile };

// Thread-safe for different layers; calls for one layer are serialized by the LayerStore.
class Snapshotter {
  public:
    virtual ~Snapshotter() = default;

    // Docker's name of the storage driver: "overlay2", "btrfs", "vfs".
    virtual std::string_view name() const = 0;

    // Whether layers are put on top of each other at a mount, so that one more costs next to
    // nothing; else each image's are put together once.
    virtual bool is_stacking() const { return false; }

    // Fills the directory of a new layer. NotImplemented for a size limit that the file system
    // cannot keep.
    virtual Result<void> prepare(const WritableLayer& layer) = 0;
    // The directory is about to go: takes its limit back, where it has one.
    virtual void forget_limit(const WritableLayer& layer) = 0;
    // The root file system's path; mounting twice is fine. A mount that an earlier engine process
    // left is found and used. Conflict when what is mounted shows other owners; Unavailable when
    // the file system cannot be mapped.
    virtual Result<std::string> mount(const WritableLayer& layer, WriteMode mode) = 0;
    // By this process or an earlier one.
    virtual bool is_mounted(const WritableLayer& layer) = 0;
    // Not mounted is fine.
    virtual Result<void> unmount(const WritableLayer& layer) = 0;
    // What was written, sorted so that the tar of it is always the same.
    virtual Result<Difference> difference(const WritableLayer& layer) = 0;
    // Bytes of the files that the layer holds itself.
    virtual Result<std::uint64_t> usage(const WritableLayer& layer) = 0;
    // Makes the written part a layer directory at `target` (absent; same file system). The layer is
    // used up. False when this variant cannot without copying.
    virtual Result<bool>
    convert_to_layer(const WritableLayer& layer, const std::string& target) = 0;
    // The layer directory's files, or those of one below it, are about to be replaced: what was
    // made of them goes. Writable layers stay as they are.
    virtual Result<void> forget_layer(const std::string& layer) = 0;
    // LowerDir, MergedDir, UpperDir, WorkDir, as docker inspect shows them.
    virtual std::vector<std::pair<std::string, std::string>>
    describe(const WritableLayer& layer) const = 0;
};

enum class SnapshotterKind : std::uint8_t {
    Automatic, // overlay; where that is impossible btrfs; where that is too, copies
    Overlay,
    Btrfs,
    Copy,
};

// "" is Automatic; "overlay2" and "overlay" and "overlayfs", "btrfs", "vfs" and "copy";
// InvalidArgument otherwise.
Result<SnapshotterKind> parse_snapshotter_kind(std::string_view name);

// Probes that the kind works on the file system of root; NotImplemented with the reason when not.
Result<std::unique_ptr<Snapshotter>>
create_snapshotter(SnapshotterKind kind, const std::string& root);

} // namespace berth::store
