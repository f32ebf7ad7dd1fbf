// SPDX-License-Identifier: Apache-2.0
// Opening everything below a data root.
#include "store/store.h"

#include "base/file.h"
#include "store/disk_error.h"

#include <sys/stat.h>

namespace berth::store {

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options) {
    std::unique_ptr<Store> store(new Store);
    // Nobody but root and our group may even look for names in it (CVE-2021-41091).
    TRY(disk_result(make_directories(options.root, 0710)));
    store->database_ = TRY(Database::open(options.root + "/metadata.db"));
    store->blobs_ = TRY(BlobStore::open(options.root));
    store->layers_ = TRY(LayerStore::open(
        {.root = options.root,
         .snapshotter = options.snapshotter,
         .form = options.form,
         .limits = options.limits},
        *store->database_,
        *store->blobs_));
    store->images_ =
        TRY(ImageStore::open(*store->database_, *store->blobs_, *store->layers_, store->leases_));
    store->collector_ = std::make_unique<GarbageCollector>(*store->images_, store->leases_);
    return store;
}

} // namespace berth::store
