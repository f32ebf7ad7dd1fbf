// SPDX-License-Identifier: Apache-2.0
// docker pull: an image from a registry into the store. Each layer is one stream (download, verify,
// keep, decompress, unpack), several at a time.
#pragma once

#include "base/result.h"
#include "oci/digest.h"
#include "oci/platform.h"
#include "oci/reference.h"
#include "registry/client.h"
#include "registry/progress.h"

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::store {
class Store;
}

namespace berth::registry {

struct PullOptions {
    ClientOptions client;
    std::optional<oci::Platform> platform; // nullopt: this machine's
    std::size_t max_concurrent = 3;
    bool say_status = true; // the last line, "Status: …"
};

struct PulledImage {
    oci::Digest id;
    oci::Digest digest; // of the manifest or index that the reference named
    bool newer = false; // false: the name stood for this image already, "Image is up to date"
};

// With a name only, :latest. Errors have Docker's words ("manifest for x:y not found: …",
// "pull access denied for x, …"). Blocks; what was downloaded is kept for the next attempt.
Result<PulledImage> pull(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const PullOptions& options,
    const ProgressCallback& progress);

// The last line of a pull.
std::string pull_status(bool newer, const oci::Reference& reference);

} // namespace berth::registry
