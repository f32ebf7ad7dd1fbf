// SPDX-License-Identifier: Apache-2.0
// Blobs out, by sendfile.
#include "oci/digester.h"
#include "registry/server/byte_range.h"
#include "registry/server/call.h"
#include "registry/server/etag.h"
#include "registry/server/upstream.h"

namespace berth::registry {

namespace {

http::Headers blob_headers(const Call& call, const oci::Digest& digest) {
    http::Headers headers = call.headers();
    headers.add("Accept-Ranges", "bytes");
    headers.add("Docker-Content-Digest", digest.to_string());
    headers.add("ETag", etag_of(digest));
    headers.add("Cache-Control", "max-age=31536000");
    headers.add("Content-Type", "application/octet-stream");
    return headers;
}

// A part that somebody wants only if the blob is still the same.
bool range_applies(const Call& call, const oci::Digest& digest) {
    std::string_view condition = call.request.headers.get("If-Range");
    return condition.empty() || condition == etag_of(digest);
}

Result<void> send_blob(Call& call, const oci::Digest& digest, const OpenBlob& blob) {
    http::Headers headers = blob_headers(call, digest);
    if (etag_matches(call.request.headers.get("If-None-Match"), digest)) {
        headers.remove("Content-Type");
        headers.remove("Accept-Ranges");
        return call.response.respond(304, std::move(headers));
    }
    std::string_view wanted =
        range_applies(call, digest) ? call.request.headers.get("Range") : std::string_view();
    auto range = parse_range(wanted, blob.size);
    if (!range.ok()) {
        headers.set("Content-Range", "bytes */" + std::to_string(blob.size));
        return call.fail(ErrorCode::RangeInvalid, wanted, std::move(headers));
    }
    if (!*range) {
        return call.response.send_file(200, std::move(headers), blob.fd, 0, blob.size);
    }
    const ByteRange& part = **range;
    headers.add(
        "Content-Range",
        "bytes " + std::to_string(part.first) + "-" + std::to_string(part.last) + "/" +
            std::to_string(blob.size));
    return call.response.send_file(206, std::move(headers), blob.fd, part.first, part.length());
}

} // namespace

Result<void> serve_blob(Call& call) {
    auto digest = oci::parse_blob_digest(call.route.reference);
    if (!digest.ok()) {
        return call.fail(ErrorCode::DigestInvalid, digest.error().message());
    }
    if (call.reads()) {
        auto blob = call.storage().open_blob(call.route.repository, *digest);
        if (!blob.ok() && call.service.upstream != nullptr) {
            auto sent =
                call.service.upstream->fetch_blob(call, *digest, blob_headers(call, *digest));
            if (!sent.ok() || *sent) {
                return sent.ok() ? ok() : call.fail(sent.error(), ErrorCode::BlobUnknown);
            }
            blob = call.storage().open_blob(call.route.repository, *digest);
        }
        return blob.ok() ? send_blob(call, *digest, *blob)
                         : call.fail(blob.error(), ErrorCode::BlobUnknown);
    }
    if (call.request.method != "DELETE") {
        return call.refuse_method("GET, HEAD, DELETE");
    }
    auto removed = call.storage().remove_blob(call.route.repository, *digest);
    return removed.ok() ? call.response.respond(202, call.headers())
                        : call.fail(removed.error(), ErrorCode::BlobUnknown);
}

} // namespace berth::registry
