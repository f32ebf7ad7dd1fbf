// SPDX-License-Identifier: Apache-2.0
// What docker save and load were asked for. Internal to archive_save.cpp and archive_load.cpp.
#pragma once

#include "store/archive.h"
#include "store/image_store.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace berth::store {

// Whether it runs on one of those that were chosen. None: all are.
bool is_wanted(const oci::Platform& platform, const std::vector<oci::Platform>& wanted);

// One entry of the archive: an image, or one for several platforms, with the names that it was
// asked for by.
struct Selection {
    std::vector<Image> images; // of each platform; first the one that readers of one platform get
    std::optional<ImageIndex> index;
    std::vector<oci::Reference> names;
};

// NotFound when one of them is not here at all, or not for any of the platforms.
Result<std::vector<Selection>> select_images(
    ImageStore& images,
    Lease& lease,
    std::span<const std::string> names,
    const SaveOptions& options);

} // namespace berth::store
