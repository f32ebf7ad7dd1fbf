// SPDX-License-Identifier: Apache-2.0
// docker build --squash: all layers that a build made as one above the base image's.
#pragma once

#include "base/result.h"
#include "build/build_job.h"
#include "oci/digest.h"

#include <string>

namespace berth::build {

struct SquashRequest {
    oci::Digest image;
    oci::Digest from;        // what it was built on; empty: nothing
    std::string from_config; // where that is a stage and no image of the store
};

// The new image's id; the image itself when no step of the build has a layer.
Result<oci::Digest> squash_image(BuildJob& job, const SquashRequest& request);

} // namespace berth::build
