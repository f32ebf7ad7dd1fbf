// SPDX-License-Identifier: Apache-2.0
// All stores below one data root, opened in the right order.
#pragma once

#include "base/result.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "store/garbage_collector.h"
#include "store/image_store.h"
#include "store/layer_store.h"
#include "store/lease.h"
#include "store/snapshotter.h"

#include <memory>
#include <string>

namespace berth::store {

struct StoreOptions {
    std::string root; // made with mode 0710 when absent
    SnapshotterKind snapshotter = SnapshotterKind::Automatic;
    LayerForm form = LayerForm::Automatic;
    compression::DecompressionLimits limits;
};

// One per data root: the caller holds the lock on it.
class Store {
  public:
    static Result<std::unique_ptr<Store>> open(const StoreOptions& options);

    Database& database() { return *database_; }

    Leases& leases() { return leases_; }

    BlobStore& blobs() { return *blobs_; }

    LayerStore& layers() { return *layers_; }

    ImageStore& images() { return *images_; }

    GarbageCollector& garbage_collector() { return *collector_; }

  private:
    Store() = default;

    Leases leases_;
    std::unique_ptr<Database> database_;
    std::unique_ptr<BlobStore> blobs_;
    std::unique_ptr<LayerStore> layers_;
    std::unique_ptr<ImageStore> images_;
    std::unique_ptr<GarbageCollector> collector_;
};

} // namespace berth::store
