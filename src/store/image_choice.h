// SPDX-License-Identifier: Apache-2.0
// One of several images that a name stands for.
#pragma once

#include "oci/platform.h"
#include "store/image_store.h"

#include <span>

namespace berth::store {

// The one that runs best there; nullptr when none runs.
const Image* best_for(std::span<const Image> images, const oci::Platform& platform);

} // namespace berth::store
