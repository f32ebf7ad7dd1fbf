// SPDX-License-Identifier: Apache-2.0
// An image as others see it: its manifest for a push, the content that it needs, the room that it
// takes.
#include "store/image_store.h"

#include <algorithm>

namespace berth::store {

namespace {

struct StoredManifest {
    oci::Digest digest;
    std::string media_type;
};

Result<std::optional<StoredManifest>> stored_manifest(Database& database, const oci::Digest& id) {
    Session session = database.session();
    Statement query =
        TRY(session.prepare("SELECT manifest, manifest_type FROM images WHERE id = ?1"));
    if (!TRY(query.bind(1, id.to_string()).step()) || query.is_null(0)) {
        return std::optional<StoredManifest>();
    }
    StoredManifest manifest{TRY(oci::Digest::parse(query.text(0))), query.text_copy(1)};
    return std::optional(std::move(manifest));
}

// Docker's own types for what every registry knows; OCI's where Docker has no name for it.
std::string docker_layer_type(const std::string& type) {
    return std::string(
        type.ends_with("gzip") ? oci::media_type::docker_layer_gzip
                               : oci::media_type::docker_layer);
}

std::string oci_layer_type(const std::string& type) {
    if (type.ends_with("gzip")) {
        return std::string(oci::media_type::oci_layer_gzip);
    }
    return std::string(
        type.ends_with("zstd") ? oci::media_type::oci_layer_zstd : oci::media_type::oci_layer);
}

} // namespace

bool ImageStore::keeps(Lease& lease, const oci::Digest& blob) const {
    lease.add_blob(blob); // first the lease: what is there cannot vanish then
    return blobs_.contains(blob);
}

bool ImageStore::has_layers(Lease& lease, const oci::Manifest& manifest) const {
    return std::all_of(
        manifest.layers.begin(), manifest.layers.end(), [&](const oci::Descriptor& layer) {
            return keeps(lease, layer.digest);
        });
}

Result<std::optional<PushableManifest>> ImageStore::whole_manifest(
    Lease& lease, const oci::Digest& digest, std::string_view media_type) const {
    std::optional<PushableManifest> nothing;
    lease.add_blob(digest);
    Result<std::string> bytes = blobs_.read(digest, oci::ManifestLimits::bytes);
    if (!bytes.ok()) {
        return nothing;
    }
    oci::ManifestDocument document = TRY(oci::parse_manifest(*bytes, media_type));
    const auto* manifest = std::get_if<oci::Manifest>(&document);
    if (manifest == nullptr) {
        return nothing;
    }
    if (!has_layers(lease, *manifest)) {
        return nothing;
    }
    PushableManifest pushable;
    pushable.descriptor.media_type = media_type;
    pushable.descriptor.digest = digest;
    pushable.descriptor.size = static_cast<std::int64_t>(bytes->size());
    pushable.bytes = std::move(*bytes);
    pushable.manifest = *manifest;
    return std::optional(std::move(pushable));
}

Result<std::optional<PushableManifest>>
ImageStore::original_manifest(Lease& lease, const oci::Digest& id) const {
    std::optional<StoredManifest> stored = TRY(stored_manifest(database_, id));
    if (!stored) {
        return std::optional<PushableManifest>();
    }
    return whole_manifest(lease, stored->digest, stored->media_type);
}

Result<PushableManifest> ImageStore::manifest_for_push(Lease& lease, const oci::Digest& id) {
    Image image = TRY(get(id));
    // The row holds the configuration; its blob may be missing only after outside interference.
    TRY(blobs_.put(lease, image.config_json));
    if (auto original = TRY(original_manifest(lease, id))) {
        const oci::Digest& config = original->manifest.config.digest; // maybe of sha512
        TRY(blobs_.put(lease, image.config_json, config.algorithm()));
        return std::move(*original);
    }
    std::vector<LayerBlob> layer_blobs;
    for (const LayerInfo& layer : TRY(layers_.chain(image.chain_id))) {
        layer_blobs.push_back(TRY(layers_.ensure_blob(lease, layer.chain_id)));
    }
    bool docker = std::none_of(layer_blobs.begin(), layer_blobs.end(), [](const LayerBlob& blob) {
        return blob.media_type.ends_with("zstd");
    });
    PushableManifest pushable;
    oci::Manifest& manifest = pushable.manifest;
    manifest.media_type = docker ? oci::media_type::docker_manifest : oci::media_type::oci_manifest;
    manifest.config.media_type =
        docker ? oci::media_type::docker_config : oci::media_type::oci_config;
    manifest.config.digest = id;
    manifest.config.size = static_cast<std::int64_t>(image.config_json.size());
    for (const LayerBlob& blob : layer_blobs) {
        oci::Descriptor layer;
        layer.media_type =
            docker ? docker_layer_type(blob.media_type) : oci_layer_type(blob.media_type);
        layer.digest = blob.digest;
        layer.size = static_cast<std::int64_t>(blob.size);
        manifest.layers.push_back(std::move(layer));
    }
    pushable.bytes = manifest.serialize();
    pushable.descriptor.media_type = manifest.media_type;
    pushable.descriptor.digest = TRY(blobs_.put(lease, pushable.bytes)).digest;
    pushable.descriptor.size = static_cast<std::int64_t>(pushable.bytes.size());
    // The next push sends the same bytes.
    Transaction transaction = TRY(database_.begin(Durability::Cache));
    {
        Statement update = TRY(transaction->prepare(
            "UPDATE images SET manifest = ?2, manifest_type = ?3 WHERE id = ?1"));
        TRY(update.bind(1, id.to_string())
                .bind(2, pushable.descriptor.digest.to_string())
                .bind(3, pushable.descriptor.media_type)
                .run());
    }
    TRY(transaction.commit());
    return pushable;
}

Result<std::vector<ContentKey>> ImageStore::roots() const {
    std::vector<ContentKey> keys;
    auto add = [&keys](ContentKind kind, std::string_view text) -> Result<void> {
        oci::Digest digest = TRY(oci::Digest::parse(text));
        keys.push_back({kind, std::move(digest)});
        return ok();
    };
    TRY(add_index_roots(keys));
    Session session = database_.session();
    Statement query = TRY(session.prepare("SELECT id, manifest, chain_id FROM images"));
    while (TRY(query.step())) {
        TRY(add(ContentKind::Blob, query.text(0)));
        if (!query.is_null(1)) {
            TRY(add(ContentKind::Blob, query.text(1)));
        }
        if (!query.is_null(2)) {
            TRY(add(ContentKind::Layer, query.text(2)));
        }
    }
    return keys;
}

} // namespace berth::store
