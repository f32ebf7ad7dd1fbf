// SPDX-License-Identifier: Apache-2.0
// docker push: an image of the store into a registry, several layers at a time; what the registry
// has is skipped or mounted from another repository. A name that stands for an index goes as the
// index where all of it is here.
#pragma once

#include "base/result.h"
#include "oci/digest.h"
#include "oci/platform.h"
#include "oci/reference.h"
#include "registry/client.h"
#include "registry/progress.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>

namespace berth::store {
class Store;
}

namespace berth::registry {

struct PushOptions {
    ClientOptions client;
    std::size_t max_concurrent = 5;
    std::optional<oci::Platform> platform; // this one of several; the manifest alone
    bool say_repository = true;            // the first line, "The push refers to …"
};

struct PushedImage {
    oci::Digest digest; // of the manifest or index
    std::uint64_t size = 0;
};

// reference has a tag. NotFound when the store has no such image ("An image does not exist locally
// with the tag: x"), Conflict when the index is not all here, and of several images in it none is
// for this machine.
Result<PushedImage> push(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const PushOptions& options,
    const ProgressCallback& progress);

} // namespace berth::registry
