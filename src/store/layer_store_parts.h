// SPDX-License-Identifier: Apache-2.0
// What the files of LayerStore share.
#pragma once

#include "base/synchronized.h"
#include "store/janitor.h"
#include "store/layer_store.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace berth::store {

struct LayerStore::Parts {
    Parts(std::string data_root, Database& metadata, BlobStore& blob_store)
        : root(std::move(data_root))
        , database(metadata)
        , blobs(blob_store) {}

    std::string root;
    Database& database;
    BlobStore& blobs;
    std::string boot_id;
    std::unique_ptr<Snapshotter> snapshotter;

    // Directory and row of a read-only layer come and go together.
    std::mutex publishing;

    // How often each writable layer was mounted by this process.
    Synchronized<std::map<std::string, int>> mounts;
    // Calls for one writable layer are serialized; different ones rarely share a lock.
    std::array<std::mutex, 64> writable_locks;

    // Last: its thread uses the others.
    std::unique_ptr<Janitor> janitor;

    std::string layer_directory(const oci::Digest& chain_id) const {
        return root + "/layers/" + std::string(chain_id.hex());
    }

    std::string content_directory(const oci::Digest& chain_id) const {
        return layer_directory(chain_id) + "/diff";
    }

    std::string writable_directory(const std::string& id) const {
        return root + "/snapshots/" + id;
    }

    std::mutex& lock_of(const std::string& id) {
        return writable_locks[std::hash<std::string>()(id) % writable_locks.size()];
    }

    // --- layer_store.cpp ---

    // Topmost first, as the snapshotters want them; empty for an empty chain id.
    Result<std::vector<std::string>> content_directories(const oci::Digest& chain_id) const;
    Result<std::vector<LayerInfo>> chain(const oci::Digest& chain_id) const;
    Result<void> adopt_implied_directories(const StagedLayer& layer, const oci::Digest& parent);
    Result<StagedLayer> unpack(ByteSource& source) const;
    Result<void> insert_layer(const LayerInfo& layer);
    Result<void> sync();

    // --- layer_recovery.cpp ---

    Result<void> sweep_directories();
    Result<void> check_unsynced_layers();
    Result<bool> has_unsynced_layers() const;
    Result<void> repair(const LayerInfo& layer);
    Result<void> mark_checked(const oci::Digest& chain_id);
    Result<void> drop_damaged(const oci::Digest& chain_id);

    // --- layer_blobs.cpp ---

    Result<std::vector<LayerBlob>> blobs_of(const oci::Digest& diff_id) const;
    Result<StagedLayer> unpack_blob(const LayerBlob& blob, const oci::Digest& diff_id) const;
    // From the files; DataLoss when the bytes are not those of the diff id.
    Result<void> write_tar_from_files(const LayerInfo& layer, ByteSink& sink) const;

    // --- writable_layers.cpp ---

    struct Writable {
        WritableLayer layer;
        oci::Digest parent;
        WriteMode mode = WriteMode::Normal;
    };

    Result<Writable> find_writable(const std::string& id) const;
    Result<void> unmount_all(const std::string& id, const WritableLayer& layer);
};

} // namespace berth::store
