// SPDX-License-Identifier: Apache-2.0
// A mounted writable layer on an image's layers: where a step does its work, or where another step
// copies from. Gone with this object unless committed.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "build/build_database.h"
#include "store/layer_store.h"
#include "store/lease.h"

#include <string>

namespace berth::build {

class WorkingLayer {
  public:
    // All references outlive the object. parent empty: starts from nothing. mount_label: SELinux's,
    // for a layer that a step's programs see.
    static Result<WorkingLayer> create(
        store::LayerStore& layers,
        const BuildDatabase& database,
        const oci::Digest& parent,
        std::string mount_label = {});
    WorkingLayer(WorkingLayer&& other) noexcept;
    WorkingLayer& operator=(WorkingLayer&&) = delete;
    ~WorkingLayer();

    // 64 hexadecimal digits, as a container's.
    const std::string& id() const { return id_; }

    const std::string& path() const { return path_; }

    FdRef root() const { return root_; }

    // Ends the work: what was written becomes a layer on the parent. Nothing may use path() any
    // more.
    Result<store::LayerInfo> commit(store::Lease& lease);

  private:
    WorkingLayer(store::LayerStore& layers, const BuildDatabase& database, std::string id)
        : layers_(&layers)
        , database_(&database)
        , id_(std::move(id)) {}

    store::LayerStore* layers_; // nullptr: moved from
    const BuildDatabase* database_;
    std::string id_;
    std::string path_;
    UniqueFd root_;
};

} // namespace berth::build
