// SPDX-License-Identifier: Apache-2.0
// The documents of an image archive: manifest.json (docker save) and oci-layout.
#pragma once

#include "codec/json.h"
#include "oci/descriptor.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store::archive {

inline constexpr std::string_view manifest_name = "manifest.json";
inline constexpr std::string_view index_name = "index.json";
inline constexpr std::string_view layout_name = "oci-layout";
inline constexpr std::string_view repositories_name = "repositories";
inline constexpr std::string_view blob_directory = "blobs/";

// Annotations of a descriptor in index.json: the full name as containerd and Docker write it, and
// the tag, or what a tool takes for a name.
inline constexpr std::string_view image_name_annotation = "io.containerd.image.name";
inline constexpr std::string_view ref_name_annotation = "org.opencontainers.image.ref.name";

// One element of manifest.json.
struct SavedImage {
    std::string config;
    std::vector<std::string> repo_tags;
    std::vector<std::string> layers;
    std::map<std::string, oci::Descriptor> layer_sources; // by diff id
};

inline std::string blob_name(const oci::Digest& digest) {
    return std::string(blob_directory) + std::string(digest.algorithm()) + "/" +
           std::string(digest.hex());
}

} // namespace berth::store::archive

template <>
struct berth::json::Fields<berth::store::archive::SavedImage> {
    using T = store::archive::SavedImage;
    static constexpr auto table = std::tuple{
        field("Config", &T::config),
        field("RepoTags", &T::repo_tags, NullWhenEmpty),
        field("Layers", &T::layers),
        field("LayerSources", &T::layer_sources, OmitEmpty)};
};
