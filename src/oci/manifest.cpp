// SPDX-License-Identifier: Apache-2.0
// Manifests from strangers: which of the two it is must never depend on who asks, or one digest
// could mean two images (CVE-2021-41190).
#include "oci/manifest.h"

namespace berth::oci {

namespace {

bool has_member(const json::Value& document, std::string_view name) {
    const json::Value* member = json::find(document, name);
    return member != nullptr && !member->is_null();
}

Result<bool> decide_is_index(const json::Value& document, std::string_view hint) {
    const std::string_view own = json::find_string(document, "mediaType");
    if (!own.empty() && !hint.empty() && own != hint) {
        return invalid_argument(
            "the manifest's mediaType is " + std::string(own) + ", expected " + std::string(hint));
    }
    const bool looks_like_index = has_member(document, "manifests");
    const bool looks_like_manifest =
        has_member(document, "config") || has_member(document, "layers");
    if (looks_like_index && looks_like_manifest) {
        return invalid_argument("the document is both a manifest and an index");
    }
    const std::string_view type = own.empty() ? hint : own;
    if (type.empty()) {
        if (!looks_like_index && !looks_like_manifest) {
            return invalid_argument("the document is neither a manifest nor an index");
        }
        return looks_like_index;
    }
    if (!media_type::is_index(type) && !media_type::is_manifest(type)) {
        return invalid_argument("unsupported manifest media type " + std::string(type));
    }
    const bool is_index = media_type::is_index(type);
    if (is_index ? looks_like_manifest : looks_like_index) {
        return invalid_argument(
            "the document's members do not fit its media type " + std::string(type));
    }
    return is_index;
}

Result<void> check_descriptor(const Descriptor& descriptor, std::string_view what) {
    if (descriptor.digest.empty()) {
        return invalid_argument("the manifest's " + std::string(what) + " has no digest");
    }
    if (descriptor.size < 0) {
        return invalid_argument("the manifest's " + std::string(what) + " has a negative size");
    }
    return ok();
}

Result<void> check_descriptors(const std::vector<Descriptor>& descriptors, std::string_view what) {
    if (descriptors.size() > ManifestLimits::descriptors) {
        return Error(
            ErrorKind::ResourceExhausted,
            "the manifest exceeds the limit of " + std::to_string(ManifestLimits::descriptors) +
                " descriptors");
    }
    for (const Descriptor& descriptor : descriptors) {
        TRY(check_descriptor(descriptor, what));
    }
    return ok();
}

} // namespace

std::string Manifest::serialize() const {
    return json::encode_text(*this);
}

std::string Index::serialize() const {
    return json::encode_text(*this);
}

Result<Descriptor> Index::choose(const Platform& wanted) const {
    std::vector<Platform> platforms;
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < manifests.size(); ++i) {
        const Descriptor& entry = manifests[i];
        const bool known = entry.media_type.empty() || media_type::is_manifest(entry.media_type) ||
                           media_type::is_index(entry.media_type);
        if (known && entry.platform) {
            platforms.push_back(*entry.platform);
            positions.push_back(i);
        }
    }
    const int best = best_match(platforms, wanted);
    if (best >= 0) {
        return manifests[positions[static_cast<std::size_t>(best)]];
    }
    // An index that names no platforms at all has one image in it (an OCI layout on disk).
    if (platforms.empty() && manifests.size() == 1) {
        return manifests[0];
    }
    return not_found(
        "no matching manifest for " + wanted.to_string() + " in the manifest list entries");
}

Result<ManifestDocument> parse_manifest(std::string_view bytes, std::string_view media_type) {
    const json::Value document =
        TRY_CONTEXT(json::parse(bytes, {.bytes = ManifestLimits::bytes}), "manifest");
    if (!document.is_object()) {
        return invalid_argument("the manifest is no JSON object");
    }
    const json::Value* version = json::find(document, "schemaVersion");
    if (version != nullptr && version->is_int64() && version->get_int64() != 2) {
        return invalid_argument(
            "unsupported manifest schema version " + std::to_string(version->get_int64()));
    }
    if (TRY(decide_is_index(document, media_type))) {
        auto index = TRY_CONTEXT(json::decode<Index>(document), "manifest list");
        TRY(check_descriptors(index.manifests, "entry"));
        return ManifestDocument(std::move(index));
    }
    auto manifest = TRY_CONTEXT(json::decode<Manifest>(document), "manifest");
    TRY(check_descriptor(manifest.config, "config"));
    TRY(check_descriptors(manifest.layers, "layer"));
    return ManifestDocument(std::move(manifest));
}

} // namespace berth::oci
