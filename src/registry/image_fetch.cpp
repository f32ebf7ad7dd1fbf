// SPDX-License-Identifier: Apache-2.0
// An index may point to an index, as OCI allows; the depth is limited.
#include "registry/image_fetch.h"

#include <variant>

namespace berth::registry {

namespace {

constexpr int index_depth = 3;
constexpr std::size_t config_limit = 8U << 20;

// moby's distribution/errors.go, notFoundError.
Error in_docker_words(Error error, const oci::Reference& reference) {
    const std::string& text = error.message();
    if (text.starts_with("denied: ")) {
        return not_found(
            "pull access denied for " + reference.familiar_name() +
            ", repository does not exist or may require 'docker login': " + text);
    }
    if (text.starts_with("manifest unknown: ")) {
        return not_found("manifest for " + reference.familiar() + " not found: " + text);
    }
    if (text.starts_with("name unknown: ")) {
        return not_found("repository " + reference.familiar_name() + " not found: " + text);
    }
    return error;
}

// What it says it is must be what this machine runs, unless another platform was asked for.
Result<void> check_artifact(const oci::Manifest& manifest) {
    if (!manifest.config.media_type.empty() &&
        !oci::media_type::is_config(manifest.config.media_type)) {
        // moby's distribution/errors.go, invalidManifestClassError
        bool plugin = manifest.config.media_type == "application/vnd.docker.plugin.v1+json";
        return invalid_argument(
            "Encountered remote \"" + manifest.config.media_type + "\"(" +
            (plugin ? "plugin" : "unknown") + ") when fetching");
    }
    for (const oci::Descriptor& layer : manifest.layers) {
        if (!oci::media_type::is_layer(layer.media_type)) {
            return invalid_argument("unsupported layer of type \"" + layer.media_type + "\"");
        }
        if (layer.size < 0) {
            return invalid_argument("layer " + layer.digest.to_string() + " has a negative size");
        }
    }
    return ok();
}

// moby's distribution/deprecated.go
Result<void> check_schema(const FetchedManifest& fetched, const oci::Reference& reference) {
    const std::string& type = fetched.descriptor.media_type;
    if (!type.starts_with("application/vnd.docker.distribution.manifest.v1+")) {
        return ok();
    }
    return invalid_argument(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been "
        "removed. Suggest the author of " +
        reference.to_string() +
        " to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More "
        "information at https://docs.docker.com/go/deprecated-image-specs/");
}

} // namespace

Result<ImageDocuments> fetch_documents(
    const std::stop_token& stop,
    Client& client,
    const oci::Reference& reference,
    const WantedDocuments& wanted) {
    auto fetched = client.manifest(stop, wanted.name);
    if (!fetched.ok()) {
        return in_docker_words(std::move(fetched).error(), reference);
    }
    ImageDocuments documents;
    documents.named_digest = fetched->descriptor.digest;
    TRY(check_schema(*fetched, reference));
    for (int depth = 0; depth < index_depth; ++depth) {
        oci::ManifestDocument document =
            TRY(oci::parse_manifest(fetched->bytes, fetched->descriptor.media_type));
        if (auto* manifest = std::get_if<oci::Manifest>(&document)) {
            TRY(check_artifact(*manifest));
            documents.manifest = std::move(*fetched);
            documents.parsed = std::move(*manifest);
            return documents;
        }
        oci::Descriptor chosen = TRY(
            std::get<oci::Index>(document).choose(wanted.platform.value_or(oci::Platform::host())));
        documents.indexes.push_back({fetched->descriptor, std::move(fetched->bytes)});
        fetched = client.manifest(stop, chosen.digest.to_string());
        if (!fetched.ok()) {
            return in_docker_words(std::move(fetched).error(), reference);
        }
    }
    return invalid_argument("the index of " + reference.familiar() + " is nested too deeply");
}

Result<FetchedConfig> fetch_config(
    const std::stop_token& stop,
    Client& client,
    store::Store& store,
    store::Lease& lease,
    const oci::Manifest& manifest) {
    const oci::Descriptor& descriptor = manifest.config;
    if (descriptor.size < 0 || static_cast<std::size_t>(descriptor.size) > config_limit) {
        return invalid_argument(
            "the image's configuration is larger than the limit of " +
            std::to_string(config_limit) + " bytes");
    }
    lease.add_blob(descriptor.digest);
    if (!store.blobs().contains(descriptor.digest)) {
        auto source = TRY(client.open_blob(stop, descriptor));
        TRY(store.blobs().ingest(
            lease,
            *source,
            {.expected = descriptor.digest,
             .expected_size = static_cast<std::uint64_t>(descriptor.size)}));
    }
    FetchedConfig config;
    config.bytes = TRY(store.blobs().read(descriptor.digest, config_limit));
    config.parsed = TRY(oci::ImageConfig::parse(config.bytes));
    if (config.parsed.rootfs.diff_ids.size() != manifest.layers.size()) {
        return invalid_argument(
            "the image's configuration lists " +
            std::to_string(config.parsed.rootfs.diff_ids.size()) + " layers, its manifest " +
            std::to_string(manifest.layers.size()));
    }
    return config;
}

} // namespace berth::registry
