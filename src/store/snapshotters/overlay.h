// SPDX-License-Identifier: Apache-2.0
// Writable layers as overlayfs mounts: upper/, work/ and rootfs/ (where it is mounted) in the
// layer's directory.
#pragma once

#include "store/directory_limits.h"
#include "store/snapshotter.h"

#include <atomic>

namespace berth::store {

class OverlaySnapshotter final : public Snapshotter {
  public:
    // mount(2) with all options in one page, for kernels before 6.5 whose overlayfs does not take
    // one lower directory after the other.
    enum class Interface : std::uint8_t { Automatic, Legacy };

    explicit OverlaySnapshotter(Interface interface = Interface::Automatic)
        : legacy_(interface == Interface::Legacy) {}

    // Mounts once below root, to see that it works; NotImplemented with the kernel's reason.
    Result<void> probe(const std::string& root);

    std::string_view name() const override { return "overlay2"; }

    bool is_stacking() const override { return true; }

    Result<void> prepare(const WritableLayer& layer) override;

    void forget_limit(const WritableLayer& layer) override { limits_.forget(layer.directory); }

    Result<std::string> mount(const WritableLayer& layer, WriteMode mode) override;
    bool is_mounted(const WritableLayer& layer) override;
    Result<void> unmount(const WritableLayer& layer) override;
    Result<Difference> difference(const WritableLayer& layer) override;
    Result<std::uint64_t> usage(const WritableLayer& layer) override;
    Result<bool> convert_to_layer(const WritableLayer& layer, const std::string& target) override;

    Result<void> forget_layer(const std::string&) override { return ok(); }

    std::vector<std::pair<std::string, std::string>>
    describe(const WritableLayer& layer) const override;

  private:
    std::atomic<bool> legacy_;
    DirectoryLimits limits_;
};

} // namespace berth::store
