// SPDX-License-Identifier: Apache-2.0
// Layers that are EROFS images, mounted while somebody needs them: once each, however many
// containers stand on it, so that they share its pages. What nobody needs any more stays mounted
// for the next one, up to a number.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "oci/digest.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace berth::store {

// fsconfig(2) takes strings of 256 bytes with their end.
inline constexpr std::size_t mount_parameter_bytes = 255;

// How this kernel mounts an image: from the file (Linux 6.12), through a loop device, not at all.
enum class ErofsMethod : std::uint8_t { File, Loop, None };

std::string_view to_string(ErofsMethod method);

// Tries it out below root, with an overlay on top as containers have it. The reason is in `why`
// when there is none.
Result<ErofsMethod> probe_erofs(const std::string& root, std::string& why);

// Mounts an image; the mount is read-only and knows no devices and no set-id programs.
Result<void> mount_erofs(const std::string& image, const std::string& place, ErofsMethod method);

// Layers that stay where they are as long as this lives. Directories come in the order they were
// asked for.
class LayerHold {
  public:
    LayerHold() = default;

    const std::vector<std::string>& directories() const { return directories_; }

  private:
    friend class LayerMounts;
    std::vector<std::string> directories_;
    std::vector<std::shared_ptr<void>> uses_;
};

// Thread-safe. Holds may outlive this object; their layers stay mounted then.
class LayerMounts {
  public:
    // How many stay mounted that nobody needs.
    static constexpr std::size_t idle_limit = 256;

    // `method` is asked when the first image is mounted.
    explicit LayerMounts(std::function<ErofsMethod()> method, std::size_t idle = idle_limit);
    // Unmounts what nobody needs.
    ~LayerMounts();

    // Each a layer's directory, with an image in it (layer.erofs) or a tree (diff). An image that
    // cannot be mounted on this kernel is unpacked beside.
    Result<LayerHold> hold(const std::vector<std::string>& layers);
    // Takes down what an earlier process left mounted, unless somebody holds it.
    void drop_unused(const std::string& layer);
    // Before the layer is deleted.
    Result<void> forget(const std::string& layer);

    // Where the layer's files are to be seen while it is held.
    static std::string content_of(const std::string& layer);

    static std::string image_of(const std::string& layer) { return layer + "/layer.erofs"; }

    static std::string mount_point_of(const std::string& layer) { return layer + "/mount"; }

    static std::string tree_of(const std::string& layer) { return layer + "/diff"; }

  private:
    struct State;

    std::shared_ptr<State> state_;
};

} // namespace berth::store
