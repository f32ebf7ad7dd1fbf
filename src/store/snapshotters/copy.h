// SPDX-License-Identifier: Apache-2.0
// Writable layers as plain copies of everything below them, for file systems on which overlayfs
// does not work. Slow and large, but without a mount. Docker calls it vfs.
#pragma once

#include "store/directory_limits.h"
#include "store/snapshotter.h"

namespace berth::store {

class CopySnapshotter final : public Snapshotter {
  public:
    std::string_view name() const override { return "vfs"; }

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
    DirectoryLimits limits_;
};

// Bytes of the files that are in a difference, each inode once.
Result<std::uint64_t> written_bytes(const Difference& written);

} // namespace berth::store
