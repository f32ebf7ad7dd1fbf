// SPDX-License-Identifier: Apache-2.0
// Manifests, indexes and image configurations.
#include "oci/image_config.h"
#include "oci/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(data, data + size);
    (void)berth::oci::parse_manifest(text).ok();
    (void)berth::oci::ImageConfig::parse(text).ok();
    return 0;
}
