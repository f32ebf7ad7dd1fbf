// SPDX-License-Identifier: Apache-2.0
// What stands beside an image in its index: manifests whose annotations name the image's, and whose
// layers are statements about it, one document each.
// https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
#include "engine/attestations.h"

#include "oci/manifest.h"
#include "oci/platform.h"
#include "store/image_store.h"
#include "store/store.h"

#include <algorithm>
#include <utility>

namespace berth::engine {

namespace {

constexpr std::size_t statement_limit = 64U << 20; // bills of materials are long

std::string
annotation(const std::map<std::string, std::string>& annotations, const std::string& name) {
    const auto found = annotations.find(name);
    return found == annotations.end() ? std::string() : found->second;
}

bool is_attestation(const oci::Descriptor& entry) {
    return annotation(entry.annotations, "vnd.docker.reference.type") == "attestation-manifest";
}

// The index's manifest for the platform.
Result<oci::Digest>
choose_image(const std::string& name, const store::ImageIndex& index, const std::string& platform) {
    const oci::Platform wanted =
        platform.empty() ? oci::Platform::host() : TRY(oci::Platform::parse(platform));
    std::vector<oci::Platform> platforms;
    std::vector<oci::Digest> digests;
    for (const store::IndexEntry& entry : index.entries) {
        if (entry.descriptor.platform && !is_attestation(entry.descriptor)) {
            platforms.push_back(*entry.descriptor.platform);
            digests.push_back(entry.descriptor.digest);
        }
    }
    const int best = oci::best_match(platforms, wanted);
    if (best < 0) {
        return not_found("no manifest of " + name + " found for platform " + wanted.to_string());
    }
    return digests[static_cast<std::size_t>(best)];
}

// A blob that was never pulled is no fault of the store's.
Result<std::string> read_here(
    const store::BlobStore& blobs,
    const oci::Digest& digest,
    std::string_view what,
    std::size_t limit) {
    auto bytes = blobs.read(digest, limit);
    if (!bytes.ok() && bytes.error().kind() == ErrorKind::NotFound) {
        return not_found(
            std::string(what) + " " + digest.to_string() + " is not available locally");
    }
    return bytes;
}

} // namespace

Result<std::vector<Attestation>>
list_attestations(store::Store& store, const std::string& image, const AttestationQuery& query) {
    std::vector<Attestation> found;
    store::ImageStore& images = store.images();
    store::Lease lease = images.lease();
    const auto index = TRY(images.index(lease, image));
    if (!index) {
        TRY(images.get(image));
        return found;
    }
    const oci::Digest subject = TRY(choose_image(image, *index, query.platform));
    const store::BlobStore& blobs = images.blobs();
    for (const store::IndexEntry& entry : index->entries) {
        const auto& annotations = entry.descriptor.annotations;
        if (!is_attestation(entry.descriptor) ||
            annotation(annotations, "vnd.docker.reference.digest") != subject.to_string()) {
            continue;
        }
        const std::string bytes = TRY(read_here(
            blobs, entry.descriptor.digest, "attestation manifest", oci::ManifestLimits::bytes));
        const auto document = TRY(oci::parse_manifest(bytes, entry.descriptor.media_type));
        const auto* manifest = std::get_if<oci::Manifest>(&document);
        for (const oci::Descriptor& layer :
             manifest == nullptr ? std::vector<oci::Descriptor>() : manifest->layers) {
            std::string type = annotation(layer.annotations, "in-toto.io/predicate-type");
            const bool is_wanted =
                query.types.empty() || std::ranges::find(query.types, type) != query.types.end();
            if (type.empty() || !is_wanted) {
                continue;
            }
            std::string statement;
            if (query.statements) {
                statement =
                    TRY(read_here(blobs, layer.digest, "attestation statement", statement_limit));
            }
            found.push_back({layer, std::move(type), std::move(statement)});
        }
    }
    return found;
}

} // namespace berth::engine
