// SPDX-License-Identifier: Apache-2.0
// Which media type is what.
#include "oci/descriptor.h"

namespace berth::oci::media_type {

bool is_manifest(std::string_view type) {
    return type == oci_manifest || type == docker_manifest;
}

bool is_index(std::string_view type) {
    return type == oci_index || type == docker_manifest_list;
}

bool is_config(std::string_view type) {
    return type == oci_config || type == docker_config;
}

bool is_foreign_layer(std::string_view type) {
    return type == docker_foreign_layer_gzip ||
           type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar");
}

bool is_layer(std::string_view type) {
    return type == oci_layer || type == oci_layer_gzip || type == oci_layer_zstd ||
           type == docker_layer || type == docker_layer_gzip || type == docker_layer_zstd ||
           is_foreign_layer(type);
}

} // namespace berth::oci::media_type
