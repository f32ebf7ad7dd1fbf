// SPDX-License-Identifier: Apache-2.0
// What the files of LayerStore share.
#pragma once

#include "base/synchronized.h"
#include "store/background_sync.h"
#include "store/janitor.h"
#include "store/layer_mounts.h"
#include "store/layer_store.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <sys/stat.h>

namespace berth::store {

struct LayerStore::Parts {
    Parts(std::string data_root, Database& metadata, BlobStore& blob_store)
        : root(std::move(data_root))
        , database(metadata)
        , blobs(blob_store) {}

    // What containers still stand on stays mounted: their holds, below, go when nobody unmounts any
    // more.
    ~Parts() { layer_mounts.reset(); }

    std::string root;
    Database& database;
    BlobStore& blobs;
    std::string boot_id;
    std::unique_ptr<Snapshotter> snapshotter;
    LayerForm form = LayerForm::Automatic;
    compression::DecompressionLimits limits;
    std::unique_ptr<LayerMounts> layer_mounts;
    // The kernel is asked once, by whoever needs it first.
    std::mutex probing;
    std::optional<ErofsMethod> probed_method; // none until the kernel could be asked
    std::string no_method;                    // why

    // Directory and row of a read-only layer come and go together. Recursive: making a layer again
    // may unpack those below it first.
    std::recursive_mutex publishing;

    struct Mounted {
        int count = 0;
        LayerHold below;
    };

    // How often each writable layer was mounted.
    Synchronized<std::map<std::string, Mounted>> mounts;

    struct MeasuredTree {
        ino_t inode = 0;
        timespec changed{};
        std::uint64_t size = 0;
    };

    // What directories of layers take on the disk, as far as somebody asked.
    Synchronized<std::map<oci::Digest, MeasuredTree>> measured_trees;
    // Of staged layers, by their directory.
    Synchronized<std::map<std::string, std::unique_ptr<BackgroundSync>>> syncs;
    // Calls for one writable layer are serialized; different ones rarely share a lock.
    std::array<std::mutex, 64> writable_locks;

    // Last: its thread uses the others.
    std::unique_ptr<Janitor> janitor;

    std::string layer_directory(const oci::Digest& chain_id) const {
        return root + "/layers/" + std::string(chain_id.hex());
    }

    std::string image_of(const oci::Digest& chain_id) const {
        return LayerMounts::image_of(layer_directory(chain_id));
    }

    std::string writable_directory(const std::string& id) const {
        return root + "/snapshots/" + id;
    }

    // Of all containers; below their layers where those are stacked.
    std::string mount_points() const { return root + "/mount-points"; }

    std::mutex& lock_of(const std::string& id) {
        return writable_locks[std::hash<std::string>()(id) % writable_locks.size()];
    }

    // --- layer_store.cpp ---

    Result<std::vector<LayerInfo>> chain(const oci::Digest& chain_id) const;
    Result<void> insert_layer(const LayerInfo& layer);
    Result<void> sync();

    // --- layer_forms.cpp ---

    ErofsMethod erofs_method();
    // What the next layer becomes.
    bool makes_images();
    // The layers' own directories, topmost first; empty for an empty chain id.
    Result<std::vector<std::string>> layer_directories(const oci::Digest& chain_id) const;
    // What is in them, ready to be read.
    Result<LayerHold> hold(const oci::Digest& chain_id);
    // An image without its directory, on a kernel that mounts no images.
    Result<void> unpack_image(const LayerInfo& layer);
    Result<StagedLayer> stage_directory() const;
    enum class KeepTar : bool { No, Yes };
    Result<void> extract(StagedLayer& layer, ByteSource& tar, KeepTar keep = KeepTar::No);
    // Of the layer's files, while others are received; publish() waits for it.
    Result<void> start_sync(const StagedLayer& layer);
    Result<void> finish_sync(const StagedLayer& layer);
    // A layer with the diff id that its source turns out to have.
    Result<StagedLayer> unpack(ByteSource& source, KeepTar keep);
    Result<void> adopt_implied_directories(const StagedLayer& layer, const oci::Digest& parent);
    static Result<void>
    adopt_implied_directories(const StagedLayer& layer, const std::vector<std::string>& models);

    // --- layer_recovery.cpp ---

    Result<void> sweep_directories();
    Result<void> check_unsynced_layers();
    Result<bool> has_unsynced_layers() const;
    void find_mounts();
    Result<void> repair(const LayerInfo& layer);
    Result<void> forget_above(const oci::Digest& chain_id);
    Result<void> replace(const LayerInfo& layer, StagedLayer staged);
    Result<void> mark_checked(const oci::Digest& chain_id);
    Result<void> drop_damaged(const oci::Digest& chain_id);

    // --- layer_check.cpp ---

    // 0 where the layer is an image alone.
    std::uint64_t size_of_tree(const oci::Digest& chain_id);

    // --- layer_blobs.cpp ---

    Result<std::vector<LayerBlob>> blobs_of(const oci::Digest& diff_id) const;
    Result<StagedLayer>
    unpack_blob(const LayerBlob& blob, const oci::Digest& diff_id, KeepTar keep = KeepTar::No);
    // The layer has its tar itself: in its image, or in its files and a frame.
    bool has_tar(const oci::Digest& chain_id) const;
    // Gives a staged layer's frame to those that have none.
    Result<void> share_frame(const StagedLayer& staged);
    // REQUIRES: has_tar().
    Result<std::unique_ptr<ByteSource>> own_tar(const oci::Digest& chain_id) const;
    // From the image or the files; DataLoss when the bytes are not those of the diff id.
    Result<void> write_tar_from_files(const LayerInfo& layer, ByteSink& sink);

    // --- writable_layers.cpp ---

    struct Writable {
        WritableLayer layer;
        oci::Digest parent;
        WriteMode mode = WriteMode::Normal;
        bool mount_points = false;
    };

    // Without the layers below.
    Result<Writable> find_writable(const std::string& id) const;
    // Those, as long as the hold lives.
    Result<LayerHold> hold_below(Writable& writable);
    void add_mount_points(Writable& writable) const;
    Result<void> unmount_all(const std::string& id, const WritableLayer& layer);
};

} // namespace berth::store
