// SPDX-License-Identifier: Apache-2.0
// The row in build_work is written first and removed last, so that a crash anywhere leaves the id.
#include "build/working_layer.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"

#include <utility>

#include <fcntl.h>

namespace berth::build {

Result<WorkingLayer> WorkingLayer::create(
    store::LayerStore& layers,
    const BuildDatabase& database,
    const oci::Digest& parent,
    std::string mount_label) {
    WorkingLayer layer(layers, database, random_hex(32));
    TRY(database.add_work(layer.id_));
    // Nobody needs a half-done step after a crash: no need to sync it.
    TRY(layers.prepare(
        layer.id_,
        parent,
        {.mode = store::WriteMode::Volatile, .mount_label = std::move(mount_label)}));
    layer.path_ = TRY(layers.mount(layer.id_));
    layer.root_ = TRY(open_file(layer.path_, O_PATH | O_DIRECTORY));
    return layer;
}

WorkingLayer::WorkingLayer(WorkingLayer&& other) noexcept
    : layers_(std::exchange(other.layers_, nullptr))
    , database_(other.database_)
    , id_(std::move(other.id_))
    , path_(std::move(other.path_))
    , root_(std::move(other.root_)) {}

WorkingLayer::~WorkingLayer() {
    if (layers_ == nullptr) {
        return;
    }
    root_.reset();
    auto removed = layers_->remove_writable(id_);
    if (!removed.ok()) {
        log::warn(
            "build step's layer not removed, ignoring",
            {{"id", id_}, {"error", removed.error().message()}});
        return; // the row stays for the next start
    }
    if (auto forgotten = database_->remove_work(id_); !forgotten.ok()) {
        log::warn("build step's row not removed, ignoring", {{"id", id_}});
    }
}

Result<store::LayerInfo> WorkingLayer::commit(store::Lease& lease) {
    root_.reset();
    TRY(layers_->unmount(id_));
    return layers_->commit_and_remove(lease, id_);
}

} // namespace berth::build
