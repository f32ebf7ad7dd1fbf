// SPDX-License-Identifier: Apache-2.0
// Writable layers as snapshots. What a layer shows together with those below it is a read-only
// subvolume beside its directory (diff.subvolume), made when the first container wants it: a
// snapshot of the one below with the layer's files put onto it, which share their data with the
// layer's. A container's root file system is a snapshot of the topmost.
#pragma once

#include "base/unique_fd.h"
#include "store/snapshotter.h"

#include <mutex>

namespace berth::store {

class BtrfsSnapshotter final : public Snapshotter {
  public:
    // Makes a subvolume and a snapshot below root, to see that it works; NotImplemented with the
    // reason.
    static Result<void> probe(const std::string& root);

    std::string_view name() const override { return "btrfs"; }

    Result<void> prepare(const WritableLayer& layer) override;

    // It goes with the subvolume.
    void forget_limit(const WritableLayer&) override {}

    Result<std::string> mount(const WritableLayer& layer, WriteMode mode) override;
    bool is_mounted(const WritableLayer& layer) override;
    Result<void> unmount(const WritableLayer& layer) override;
    Result<Difference> difference(const WritableLayer& layer) override;
    Result<std::uint64_t> usage(const WritableLayer& layer) override;
    Result<bool> convert_to_layer(const WritableLayer& layer, const std::string& target) override;
    Result<void> forget_layer(const std::string& layer) override;
    std::vector<std::pair<std::string, std::string>>
    describe(const WritableLayer& layer) const override;

  private:
    // The subvolume of the topmost layer, made with those below it where it is not there.
    Result<std::string> ensure_subvolume(const std::vector<std::string>& layers);

    std::mutex making_;
};

} // namespace berth::store
