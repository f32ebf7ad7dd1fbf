// SPDX-License-Identifier: Apache-2.0
// The documents of an image, before its layers: manifest, through an index where there is one, and
// configuration. Internal to the puller.
#pragma once

#include "base/result.h"
#include "oci/image_config.h"
#include "oci/manifest.h"
#include "oci/platform.h"
#include "oci/reference.h"
#include "registry/client.h"
#include "store/store.h"

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::registry {

struct ImageDocuments {
    oci::Digest named_digest;                  // of what the reference named: index or manifest
    std::vector<store::IndexDocument> indexes; // through which it was found, outermost first
    FetchedManifest manifest;
    oci::Manifest parsed;
};

struct WantedDocuments {
    std::string name; // tag or digest to ask this host for
    std::optional<oci::Platform> platform;
};

// Errors in the words of `docker pull reference`.
Result<ImageDocuments> fetch_documents(
    const std::stop_token& stop,
    Client& client,
    const oci::Reference& reference,
    const WantedDocuments& wanted);

struct FetchedConfig {
    std::string bytes;
    oci::ImageConfig parsed;
};

// From the store, or from the registry into the store.
Result<FetchedConfig> fetch_config(
    const std::stop_token& stop,
    Client& client,
    store::Store& store,
    store::Lease& lease,
    const oci::Manifest& manifest);

} // namespace berth::registry
