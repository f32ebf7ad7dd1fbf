// SPDX-License-Identifier: Apache-2.0
// How a list of referrers describes one of them. For both sides.
#pragma once

#include "oci/manifest.h"

namespace berth::registry {

// Fills in the type and the annotations of what the descriptor points at.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
inline void describe_referrer(oci::Descriptor& descriptor, const oci::ManifestDocument& document) {
    auto fill = [&](const auto& of) {
        descriptor.artifact_type = of.artifact_type;
        descriptor.annotations = of.annotations;
    };
    std::visit(fill, document);
    if (const auto* manifest = std::get_if<oci::Manifest>(&document);
        manifest != nullptr && manifest->artifact_type.empty()) {
        descriptor.artifact_type = manifest->config.media_type;
    }
}

} // namespace berth::registry
