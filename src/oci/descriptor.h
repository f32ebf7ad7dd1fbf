// SPDX-License-Identifier: Apache-2.0
// A descriptor points at content by type, digest and size; and the media types that we know, OCI's
// and Docker's.
#pragma once

#include "codec/json.h"
#include "oci/digest.h"
#include "oci/platform.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::oci {

namespace media_type {

inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view oci_layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view oci_layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view oci_empty = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view docker_manifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_manifest_list =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_manifest_v1 =
    "application/vnd.docker.distribution.manifest.v1+json";
inline constexpr std::string_view docker_signed_manifest_v1 =
    "application/vnd.docker.distribution.manifest.v1+prettyjws";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view docker_layer_gzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view docker_layer_zstd =
    "application/vnd.docker.image.rootfs.diff.tar.zstd";
inline constexpr std::string_view docker_foreign_layer_gzip =
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

bool is_manifest(std::string_view type); // one image
bool is_index(std::string_view type);    // a list of manifests
bool is_config(std::string_view type);   // an image's configuration
bool is_layer(std::string_view type);    // a tar, compressed or not
bool is_foreign_layer(std::string_view type);

} // namespace media_type

struct Descriptor {
    std::string media_type;
    Digest digest;
    std::int64_t size = 0;
    std::vector<std::string> urls;
    std::map<std::string, std::string> annotations;
    std::string data; // base64
    std::optional<Platform> platform;
    std::string artifact_type;

    bool operator==(const Descriptor&) const = default;
};

} // namespace berth::oci

template <>
struct berth::json::Fields<berth::oci::Descriptor> {
    using T = oci::Descriptor;
    static constexpr auto table = std::tuple{
        field("mediaType", &T::media_type),
        field("size", &T::size),
        field("digest", &T::digest),
        field("urls", &T::urls, OmitEmpty),
        field("annotations", &T::annotations, OmitEmpty),
        field("data", &T::data, OmitEmpty),
        field("platform", &T::platform, OmitEmpty),
        field("artifactType", &T::artifact_type, OmitEmpty)};
};
