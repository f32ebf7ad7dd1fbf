// SPDX-License-Identifier: Apache-2.0
// What a manifest or an index names. Internal to the server.
#pragma once

#include "oci/manifest.h"

#include <vector>

namespace berth::registry {

// What must be in the repository before the manifest may be. Layers that may live elsewhere and the
// subject need not.
std::vector<oci::Digest> required_references(const oci::ManifestDocument& document);

// Empty: none.
oci::Digest subject_of(const oci::ManifestDocument& document);

} // namespace berth::registry
