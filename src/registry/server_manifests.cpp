// SPDX-License-Identifier: Apache-2.0
// Manifests are kept as the bytes they came as; what they name must be there first.
#include "base/strings.h"
#include "oci/reference.h"
#include "registry/server_route.h"

#include <algorithm>
#include <variant>

namespace berth::registry {

namespace {

constexpr std::size_t page_limit = 10'000;

std::string media_type_of(std::string_view content_type) {
    return to_lower(trim(content_type.substr(0, content_type.find(';'))));
}

Result<void> send_manifest(Call& call) {
    auto manifest = call.storage.manifest(call.route.repository, call.route.reference);
    if (!manifest.ok()) {
        return call.fail(manifest.error(), ErrorCode::ManifestUnknown);
    }
    std::string etag = "\"" + manifest->descriptor.digest.to_string() + "\"";
    http::Headers headers = call.headers();
    headers.add("Content-Type", manifest->descriptor.media_type);
    headers.add("Docker-Content-Digest", manifest->descriptor.digest.to_string());
    headers.add("ETag", etag);
    if (call.request.headers.get("If-None-Match") == etag) {
        return call.response.respond(304, std::move(headers));
    }
    return call.response.respond(200, std::move(headers), manifest->bytes);
}

// The first thing that the manifest names and the repository lacks; "" when all is there.
Result<std::string> missing_content(const Call& call, const oci::ManifestDocument& document) {
    const std::string& repository = call.route.repository;
    if (const auto* index = std::get_if<oci::Index>(&document)) {
        for (const oci::Descriptor& entry : index->manifests) {
            if (!call.storage.manifest(repository, entry.digest.to_string()).ok()) {
                return entry.digest.to_string();
            }
        }
        return std::string();
    }
    const auto& manifest = std::get<oci::Manifest>(document);
    std::vector<oci::Descriptor> wanted = manifest.layers;
    wanted.push_back(manifest.config);
    for (const oci::Descriptor& entry : wanted) {
        if (oci::media_type::is_foreign_layer(entry.media_type)) {
            continue; // may live elsewhere
        }
        auto blob = call.storage.open_blob(repository, entry.digest);
        if (!blob.ok() && blob.error().kind() != ErrorKind::NotFound) {
            return std::move(blob).error();
        }
        if (!blob.ok()) {
            return entry.digest.to_string();
        }
    }
    return std::string();
}

const std::optional<oci::Descriptor>& subject_of(const oci::ManifestDocument& document) {
    const auto* manifest = std::get_if<oci::Manifest>(&document);
    return manifest != nullptr ? manifest->subject : std::get<oci::Index>(document).subject;
}

Result<void> receive_manifest(Call& call) {
    const std::string& reference = call.route.reference;
    call.body.set_limit(oci::ManifestLimits::bytes);
    auto bytes = call.body.read_all();
    if (!bytes.ok()) {
        return call.fail(bytes.error(), ErrorCode::ManifestInvalid);
    }
    StoredManifest manifest;
    manifest.descriptor.media_type = media_type_of(call.request.headers.get("Content-Type"));
    manifest.descriptor.digest = oci::Digest::of(*bytes);
    manifest.descriptor.size = static_cast<std::int64_t>(bytes->size());
    bool by_digest = reference.find(':') != std::string::npos;
    if (by_digest && reference != manifest.descriptor.digest.to_string()) {
        return call.fail(ErrorCode::DigestInvalid, reference);
    }
    if (!by_digest && !oci::is_valid_tag(reference)) {
        return call.fail(ErrorCode::TagInvalid, reference);
    }
    auto document = oci::parse_manifest(*bytes, manifest.descriptor.media_type);
    if (!document.ok()) {
        return call.fail(ErrorCode::ManifestInvalid, document.error().message());
    }
    if (std::string missing = TRY(missing_content(call, *document)); !missing.empty()) {
        return call.fail(ErrorCode::ManifestBlobUnknown, missing);
    }
    http::Headers headers = call.headers();
    oci::Digest subject;
    if (const auto& descriptor = subject_of(*document)) {
        subject = descriptor->digest;
        headers.add("OCI-Subject", subject.to_string());
    }
    manifest.bytes = std::move(*bytes);
    TRY(call.storage.put_manifest(
        call.route.repository, by_digest ? std::string_view() : reference, manifest, subject));
    std::string digest = manifest.descriptor.digest.to_string();
    headers.add("Location", "/v2/" + call.route.repository + "/manifests/" + digest);
    headers.add("Docker-Content-Digest", digest);
    return call.response.respond(201, std::move(headers));
}

struct Page {
    std::vector<std::string> names;
    std::string link; // to the next page; "" at the end
};

// ?n=<count>&last=<name>; names come sorted.
Result<Page> take_page(const Call& call, std::vector<std::string> names) {
    const http::Query& query = call.request.query;
    std::string last(query.get("last"));
    if (!last.empty()) {
        names.erase(names.begin(), std::ranges::upper_bound(names, last));
    }
    std::size_t count = page_limit;
    if (query.contains("n")) {
        count = std::min(TRY(parse_number<std::size_t>(query.get("n"))), page_limit);
    }
    Page page;
    bool more = names.size() > count;
    names.resize(std::min(names.size(), count));
    if (more && count > 0) {
        page.link = "<" + call.request.path + "?n=" + std::to_string(count) +
                    "&last=" + http::percent_encode(names.back()) + ">; rel=\"next\"";
    }
    page.names = std::move(names);
    return page;
}

Result<void> reply_page(
    const Call& call,
    std::vector<std::string> names,
    std::string_view member,
    json::Object document) {
    auto page = take_page(call, std::move(names));
    if (!page.ok()) {
        return call.fail(ErrorCode::PaginationNumberInvalid, page.error().message());
    }
    document[member] = json::encode(page->names);
    http::Headers headers;
    if (!page->link.empty()) {
        headers.add("Link", page->link);
    }
    return call.reply_json(200, document, std::move(headers));
}

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
oci::Descriptor referrer_of(const StoredManifest& stored) {
    oci::Descriptor descriptor;
    descriptor.media_type = stored.descriptor.media_type;
    descriptor.digest = stored.descriptor.digest;
    descriptor.size = stored.descriptor.size;
    auto document = oci::parse_manifest(stored.bytes, stored.descriptor.media_type);
    if (!document.ok()) {
        return descriptor;
    }
    if (const auto* manifest = std::get_if<oci::Manifest>(&*document)) {
        descriptor.artifact_type =
            manifest->artifact_type.empty() ? manifest->config.media_type : manifest->artifact_type;
        descriptor.annotations = manifest->annotations;
    } else {
        const auto& index = std::get<oci::Index>(*document);
        descriptor.artifact_type = index.artifact_type;
        descriptor.annotations = index.annotations;
    }
    return descriptor;
}

} // namespace

Result<void> serve_manifest(Call& call) {
    const std::string& method = call.request.method;
    if (call.reads()) {
        return send_manifest(call);
    }
    if (method == "PUT") {
        return receive_manifest(call);
    }
    if (method != "DELETE") {
        return call.refuse_method("GET, HEAD, PUT, DELETE");
    }
    auto removed = call.storage.remove_manifest(call.route.repository, call.route.reference);
    return removed.ok() ? call.response.respond(202, call.headers())
                        : call.fail(removed.error(), ErrorCode::ManifestUnknown);
}

Result<void> serve_tags(Call& call) {
    if (!call.reads()) {
        return call.refuse_method("GET, HEAD");
    }
    auto tags = call.storage.tags(call.route.repository);
    if (!tags.ok()) {
        return call.fail(tags.error(), ErrorCode::NameUnknown);
    }
    return reply_page(call, std::move(*tags), "tags", {{"name", call.route.repository}});
}

Result<void> serve_catalog(Call& call) {
    if (!call.reads()) {
        return call.refuse_method("GET, HEAD");
    }
    return reply_page(call, TRY(call.storage.repositories()), "repositories", {});
}

Result<void> serve_referrers(Call& call) {
    if (!call.reads()) {
        return call.refuse_method("GET, HEAD");
    }
    auto subject = parse_blob_digest(call.route.reference);
    if (!subject.ok()) {
        return call.fail(ErrorCode::DigestInvalid, subject.error().message());
    }
    auto found = call.storage.referrers(call.route.repository, *subject);
    if (!found.ok() && found.error().kind() != ErrorKind::NotFound) {
        return call.fail(found.error(), ErrorCode::NameUnknown);
    }
    oci::Index index;
    index.media_type = oci::media_type::oci_index;
    std::string wanted(call.request.query.get("artifactType"));
    if (found.ok()) { // a repository that is not there has no referrers
        for (const StoredManifest& stored : *found) {
            oci::Descriptor descriptor = referrer_of(stored);
            if (wanted.empty() || descriptor.artifact_type == wanted) {
                index.manifests.push_back(std::move(descriptor));
            }
        }
    }
    http::Headers headers{{"Content-Type", std::string(oci::media_type::oci_index)}};
    if (!wanted.empty()) {
        headers.add("OCI-Filters-Applied", "artifactType");
    }
    return call.reply_json(200, json::encode(index), std::move(headers));
}

} // namespace berth::registry
