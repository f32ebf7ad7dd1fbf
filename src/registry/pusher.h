// SPDX-License-Identifier: Apache-2.0
// docker push: an image of the store into a registry, several layers at a time; what the registry
// has is skipped or mounted from another repository.
#pragma once

#include "base/result.h"
#include "oci/digest.h"
#include "oci/reference.h"
#include "registry/client.h"
#include "registry/progress.h"

#include <cstddef>
#include <cstdint>
#include <stop_token>

namespace berth::store {
class Store;
}

namespace berth::registry {

struct PushOptions {
    ClientOptions client;
    std::size_t max_concurrent = 5;
    bool say_repository = true; // the first line, "The push refers to …"
};

struct PushedImage {
    oci::Digest digest; // of the manifest
    std::uint64_t size = 0;
};

// reference has a tag. NotFound when the store has no such image ("An image does not exist locally
// with the tag: x").
Result<PushedImage> push(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const PushOptions& options,
    const ProgressCallback& progress);

} // namespace berth::registry
