// SPDX-License-Identifier: Apache-2.0
// Image manifests and indexes, OCI's and Docker's schema 2: the same shape under two names.
// Documents that came from elsewhere are kept as bytes; these types only read them.
#pragma once

#include "codec/json.h"
#include "oci/descriptor.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace berth::oci {

struct Manifest {
    int schema_version = 2;
    std::string media_type;
    std::string artifact_type;
    Descriptor config;
    std::vector<Descriptor> layers;
    std::optional<Descriptor> subject;
    std::map<std::string, std::string> annotations;

    std::string serialize() const;
};

struct Index {
    int schema_version = 2;
    std::string media_type;
    std::string artifact_type;
    std::vector<Descriptor> manifests;
    std::optional<Descriptor> subject;
    std::map<std::string, std::string> annotations;

    std::string serialize() const;

    // The entry for `wanted`; NotFound: "no matching manifest for linux/arm64 in the manifest list
    // entries". Attestations (platform unknown/unknown) never match.
    Result<Descriptor> choose(const Platform& wanted) const;
};

using ManifestDocument = std::variant<Manifest, Index>;

struct ManifestLimits {
    static constexpr std::size_t bytes = 4U << 20;
    static constexpr std::size_t descriptors = 1024;
};

// Reads a manifest or an index: by media_type when it is known, else by the document's own
// mediaType, else by its members. A document that is both (manifests and layers), schema 1, or
// one without what its type requires, is InvalidArgument.
Result<ManifestDocument> parse_manifest(std::string_view bytes, std::string_view media_type = {});

} // namespace berth::oci

template <>
struct berth::json::Fields<berth::oci::Manifest> {
    using T = oci::Manifest;
    static constexpr auto table = std::tuple{
        field("schemaVersion", &T::schema_version),
        field("mediaType", &T::media_type, OmitEmpty),
        field("artifactType", &T::artifact_type, OmitEmpty),
        field("config", &T::config),
        field("layers", &T::layers),
        field("subject", &T::subject, OmitEmpty),
        field("annotations", &T::annotations, OmitEmpty)};
};

template <>
struct berth::json::Fields<berth::oci::Index> {
    using T = oci::Index;
    static constexpr auto table = std::tuple{
        field("schemaVersion", &T::schema_version),
        field("mediaType", &T::media_type, OmitEmpty),
        field("artifactType", &T::artifact_type, OmitEmpty),
        field("manifests", &T::manifests),
        field("subject", &T::subject, OmitEmpty),
        field("annotations", &T::annotations, OmitEmpty)};
};
