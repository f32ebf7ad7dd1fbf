// SPDX-License-Identifier: Apache-2.0
// Manifests are kept as the bytes they came as; what they name must be there first.
#include "base/strings.h"
#include "oci/digester.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "registry/server/call.h"
#include "registry/server/etag.h"
#include "registry/server/manifest_references.h"
#include "registry/server/negotiation.h"
#include "registry/server/upstream.h"

#include <variant>

namespace berth::registry {

namespace {

std::string media_type_of(std::string_view content_type) {
    return to_lower(trim(content_type.substr(0, content_type.find(';'))));
}

bool is_digest(std::string_view reference) {
    return reference.find(':') != std::string_view::npos;
}

// docker-registry's answer to clients from before manifest lists: the list's image for linux/amd64.
Result<StoredManifest> image_of_list(const Call& call, const StoredManifest& list) {
    auto document = TRY(oci::parse_manifest(*list.bytes, list.descriptor.media_type));
    for (const oci::Descriptor& entry : std::get<oci::Index>(document).manifests) {
        if (entry.platform && entry.platform->os == "linux" &&
            entry.platform->architecture == "amd64") {
            return call.storage().manifest(call.route.repository, entry.digest.to_string());
        }
    }
    return not_found("the manifest list has no image for linux/amd64");
}

// What of the manifest the client can take. NotFound: nothing.
Result<StoredManifest> negotiate(const Call& call, StoredManifest manifest) {
    AcceptedTypes accepted = AcceptedTypes::of(call.request.headers);
    const std::string& type = manifest.descriptor.media_type;
    if (accepted.takes(type)) {
        return manifest;
    }
    if (type == oci::media_type::docker_manifest_list && !is_digest(call.route.reference) &&
        accepted.takes(oci::media_type::docker_manifest)) {
        return image_of_list(call, manifest);
    }
    // Who asks by digest knows what it is; docker-registry is strict with OCI's types alone.
    if (is_digest(call.route.reference) && !type.starts_with("application/vnd.oci.")) {
        return manifest;
    }
    return not_found("the manifest is of type " + type + ", which the Accept header leaves out");
}

Result<void> send_manifest(Call& call) {
    http::Headers headers = call.headers();
    if (call.service.upstream != nullptr) {
        auto fresh = call.service.upstream->refresh_manifest(call, headers);
        if (!fresh.ok()) {
            return call.fail(fresh.error(), ErrorCode::ManifestUnknown);
        }
    }
    auto manifest = call.storage().manifest(call.route.repository, call.route.reference);
    if (manifest.ok()) {
        manifest = negotiate(call, std::move(*manifest));
    }
    if (!manifest.ok()) {
        return call.fail(manifest.error(), ErrorCode::ManifestUnknown);
    }
    const oci::Digest& digest = manifest->descriptor.digest;
    headers.add("Docker-Content-Digest", digest.to_string());
    headers.add("ETag", etag_of(digest));
    if (etag_matches(call.request.headers.get("If-None-Match"), digest)) {
        return call.response.respond(304, std::move(headers));
    }
    headers.add("Content-Type", manifest->descriptor.media_type);
    return call.response.respond(200, std::move(headers), *manifest->bytes);
}

// Fills tag and digest from the reference; what does not fit is told.
std::optional<ErrorCode>
name_manifest(NewManifest& manifest, const std::string& reference, std::string_view bytes) {
    if (!is_digest(reference)) {
        manifest.tag = reference;
        manifest.descriptor.digest = oci::digest_of("sha256", bytes);
        return oci::is_valid_tag(reference) ? std::nullopt : std::optional(ErrorCode::TagInvalid);
    }
    auto digest = oci::parse_blob_digest(reference);
    if (!digest.ok() || oci::digest_of(digest->algorithm(), bytes) != *digest) {
        return ErrorCode::DigestInvalid;
    }
    manifest.descriptor.digest = std::move(*digest);
    return std::nullopt;
}

// The document's own type counts where the client says none.
std::string type_of(const http::Request& request, const oci::ManifestDocument& document) {
    std::string type = media_type_of(request.headers.get("Content-Type"));
    if (!type.empty()) {
        return type;
    }
    const auto* manifest = std::get_if<oci::Manifest>(&document);
    type = manifest != nullptr ? manifest->media_type : std::get<oci::Index>(document).media_type;
    if (!type.empty()) {
        return type;
    }
    return std::string(
        manifest != nullptr ? oci::media_type::oci_manifest : oci::media_type::oci_index);
}

Result<void> store_manifest(Call& call, const NewManifest& manifest) {
    auto missing = call.storage().put_manifest(call.route.repository, manifest);
    if (!missing.ok()) {
        return call.fail(missing.error(), ErrorCode::NameUnknown);
    }
    if (*missing) {
        return call.fail(ErrorCode::ManifestBlobUnknown, (*missing)->to_string());
    }
    http::Headers headers = call.headers();
    std::string digest = manifest.descriptor.digest.to_string();
    headers.add("Location", "/v2/" + call.route.repository + "/manifests/" + digest);
    headers.add("Docker-Content-Digest", digest);
    if (!manifest.subject.empty()) {
        headers.add("OCI-Subject", manifest.subject.to_string());
    }
    call.warn_of_quota(headers);
    return call.response.respond(201, std::move(headers));
}

Result<void> receive_manifest(Call& call) {
    call.body.set_limit(oci::ManifestLimits::bytes);
    auto bytes = call.body.read_all();
    if (!bytes.ok()) {
        return call.body.limit_passed()
                   ? call.fail_as(413, ErrorCode::ManifestInvalid, bytes.error().message())
                   : call.fail(bytes.error(), ErrorCode::ManifestInvalid);
    }
    NewManifest manifest;
    if (auto wrong = name_manifest(manifest, call.route.reference, *bytes)) {
        return call.fail(*wrong, call.route.reference);
    }
    auto document =
        oci::parse_manifest(*bytes, media_type_of(call.request.headers.get("Content-Type")));
    if (!document.ok()) {
        return call.fail(ErrorCode::ManifestInvalid, document.error().message());
    }
    manifest.descriptor.media_type = type_of(call.request, *document);
    manifest.descriptor.size = static_cast<std::int64_t>(bytes->size());
    manifest.references = required_references(*document);
    manifest.subject = subject_of(*document);
    manifest.bytes = std::move(*bytes);
    return store_manifest(call, manifest);
}

} // namespace

Result<void> serve_manifest(Call& call) {
    const std::string& method = call.request.method;
    const std::string& reference = call.route.reference;
    bool known_form = is_digest(reference) ? oci::parse_blob_digest(reference).ok() : true;
    if (!known_form) {
        return call.fail(ErrorCode::DigestInvalid, reference);
    }
    if (call.reads()) {
        return send_manifest(call);
    }
    if (method == "PUT") {
        return receive_manifest(call);
    }
    if (method != "DELETE") {
        return call.refuse_method("GET, HEAD, PUT, DELETE");
    }
    auto removed = call.storage().remove_manifest(call.route.repository, reference);
    return removed.ok() ? call.response.respond(202, call.headers())
                        : call.fail(removed.error(), ErrorCode::ManifestUnknown);
}

} // namespace berth::registry
