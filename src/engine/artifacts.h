// SPDX-License-Identifier: Apache-2.0
// Artifacts: files to and from registries, under manifests that are no images. Nothing of them
// stays here.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "engine/images.h"
#include "oci/descriptor.h"

#include <map>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::store {
class Store;
}

namespace berth::engine {

struct DaemonConfig;

struct ArtifactRequest {
    std::string name; // a tag, or with a subject a repository alone
    std::string type;
    std::string subject; // a tag or digest of the repository that it is about
    std::vector<std::string> media_types;
    std::map<std::string, std::string> annotations;
};

struct ArtifactList {
    oci::Descriptor subject;
    std::vector<oci::Descriptor> referrers;
};

// Thread-safe; costs nothing to make.
class Artifacts {
  public:
    // Both must outlive the object.
    Artifacts(store::Store& store, const DaemonConfig& config)
        : store_(store)
        , config_(config) {}

    // `files`: a tar of plain files. Returns the manifest's digest.
    Result<std::string> push(
        std::stop_token stop,
        const ArtifactRequest& request,
        const RegistryCredentials& credentials,
        ByteSource& files,
        const ImageProgressCallback& progress) const;
    // The files of an artifact, or the layers of an image, as a tar.
    Result<void> pull(
        std::stop_token stop,
        const std::string& name,
        const RegistryCredentials& credentials,
        ByteSink& tar) const;
    // What refers to the manifest, of one type where that is not empty.
    Result<ArtifactList> list(
        std::stop_token stop,
        const std::string& name,
        const std::string& type,
        const RegistryCredentials& credentials) const;

  private:
    store::Store& store_;
    const DaemonConfig& config_;
};

} // namespace berth::engine
