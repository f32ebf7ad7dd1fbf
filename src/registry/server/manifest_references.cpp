// SPDX-License-Identifier: Apache-2.0
// https://github.com/opencontainers/image-spec/blob/main/manifest.md
#include "registry/server/manifest_references.h"

namespace berth::registry {

std::vector<oci::Digest> required_references(const oci::ManifestDocument& document) {
    std::vector<oci::Digest> references;
    if (const auto* index = std::get_if<oci::Index>(&document)) {
        for (const oci::Descriptor& entry : index->manifests) {
            references.push_back(entry.digest);
        }
        return references;
    }
    const auto& manifest = std::get<oci::Manifest>(document);
    references.push_back(manifest.config.digest);
    for (const oci::Descriptor& layer : manifest.layers) {
        if (!oci::media_type::is_foreign_layer(layer.media_type) || layer.urls.empty()) {
            references.push_back(layer.digest);
        }
    }
    return references;
}

oci::Digest subject_of(const oci::ManifestDocument& document) {
    const auto* manifest = std::get_if<oci::Manifest>(&document);
    const auto& subject =
        manifest != nullptr ? manifest->subject : std::get<oci::Index>(document).subject;
    return subject ? subject->digest : oci::Digest();
}

} // namespace berth::registry
