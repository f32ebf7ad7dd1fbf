// SPDX-License-Identifier: Apache-2.0
// Artifacts: files in a registry under a manifest that is no image (signatures, bills of materials,
// charts, models), alone or about a manifest of the same repository. Written as ORAS writes them.
// https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "oci/descriptor.h"
#include "oci/digest.h"
#include "oci/reference.h"
#include "registry/client.h"
#include "registry/progress.h"

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::store {
class Store;
}

namespace berth::registry {

struct ArtifactPush {
    oci::Reference reference; // a name alone: by its digest only; REQUIRES for that: a subject
    std::string type;         // "" for one that says nothing
    std::string subject;      // a tag or digest of the repository; "": none
    std::vector<std::string> media_types; // of the files, in their order; "" and missing: any bytes
    std::map<std::string, std::string> annotations;
};

struct ArtifactPart {
    oci::Descriptor descriptor;
    std::string name; // plain, relative, without ".."
};

struct ReferrerList {
    oci::Descriptor subject;
    std::vector<oci::Descriptor> referrers;
};

// `files`: a tar of plain files. The same files give the same digest.
Result<oci::Digest> push_artifact(
    std::stop_token stop,
    store::Store& store,
    const ArtifactPush& request,
    const ClientOptions& options,
    ByteSource& files,
    const ProgressCallback& progress);

// The files as a tar, each verified before its first byte goes out. InvalidArgument for an image
// index, and for names that lead out of a folder.
Result<void> pull_artifact(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const ClientOptions& options,
    ByteSink& tar);

// What refers to the manifest, of one type where that is not empty.
Result<ReferrerList> list_referrers(
    std::stop_token stop,
    const oci::Reference& reference,
    const std::string& type,
    const ClientOptions& options);

} // namespace berth::registry
