// SPDX-License-Identifier: Apache-2.0
// Blobs out by sendfile, blobs in by any of the specification's ways: in one POST, in a POST and a
// PUT, in pieces by PATCH, or by mounting what another repository has.
#include "base/strings.h"
#include "registry/server_route.h"

#include <algorithm>
#include <mutex>

namespace berth::registry {

namespace {

struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};

// "bytes=5-", "bytes=5-9", "bytes=-3" of `size` bytes. nullopt: the whole blob is to be sent, for
// what is no single range too (RFC 9110, 14.2). An error: not satisfiable.
Result<std::optional<ByteRange>> parse_range(std::string_view header, std::uint64_t size) {
    std::optional<ByteRange> whole;
    if (!header.starts_with("bytes=")) {
        return whole;
    }
    std::optional<Cut> parts = cut(header.substr(6), "-");
    if (!parts || parts->after.find(',') != std::string_view::npos) {
        return whole;
    }
    auto first = parse_number<std::uint64_t>(parts->before);
    auto last = parse_number<std::uint64_t>(parts->after);
    if (parts->before.empty() && last.ok()) {
        std::uint64_t count = std::min(*last, size);
        if (count == 0) {
            return invalid_argument("range not satisfiable");
        }
        return std::optional(ByteRange{size - count, size - 1});
    }
    if (!first.ok() || (!last.ok() && !parts->after.empty()) || (last.ok() && *last < *first)) {
        return whole;
    }
    if (*first >= size) {
        return invalid_argument("range not satisfiable");
    }
    std::uint64_t end = last.ok() ? std::min(*last, size - 1) : size - 1;
    return std::optional(ByteRange{*first, end});
}

std::string upload_location(const Upload& upload) {
    return "/v2/" + upload.repository + "/blobs/uploads/" + upload.id;
}

std::string blob_location(const std::string& repository, const oci::Digest& digest) {
    return "/v2/" + repository + "/blobs/" + digest.to_string();
}

http::Headers upload_headers(const Upload& upload) {
    http::Headers headers{
        {"Location", upload_location(upload)},
        {"Docker-Upload-UUID", upload.id},
        {"Docker-Distribution-Api-Version", "registry/2.0"}};
    headers.add("Range", "0-" + std::to_string(upload.size == 0 ? 0 : upload.size - 1));
    return headers;
}

Result<void> reply_created(const Call& call, const oci::Digest& digest) {
    http::Headers headers = call.headers();
    headers.add("Location", blob_location(call.route.repository, digest));
    headers.add("Docker-Content-Digest", digest.to_string());
    return call.response.respond(201, std::move(headers));
}

Result<void> send_blob(Call& call, const oci::Digest& digest) {
    auto blob = call.storage.open_blob(call.route.repository, digest);
    if (!blob.ok()) {
        return call.fail(blob.error(), ErrorCode::BlobUnknown);
    }
    http::Headers headers = call.headers();
    headers.add("Accept-Ranges", "bytes");
    headers.add("Docker-Content-Digest", digest.to_string());
    headers.add("ETag", "\"" + digest.to_string() + "\"");
    headers.add("Cache-Control", "max-age=31536000");
    headers.add("Content-Type", "application/octet-stream");
    auto range = parse_range(call.request.headers.get("Range"), blob->size);
    if (!range.ok()) {
        headers.add("Content-Range", "bytes */" + std::to_string(blob->size));
        return call.response.respond(416, std::move(headers));
    }
    if (!*range) {
        return call.response.send_file(200, std::move(headers), blob->fd, 0, blob->size);
    }
    const ByteRange& part = **range;
    headers.add(
        "Content-Range",
        "bytes " + std::to_string(part.first) + "-" + std::to_string(part.last) + "/" +
            std::to_string(blob->size));
    return call.response.send_file(
        206, std::move(headers), blob->fd, part.first, part.last - part.first + 1);
}

// The body goes behind what the upload has, which then becomes the blob.
Result<void> complete(Call& call, Upload& upload, std::string_view digest_text) {
    auto digest = parse_blob_digest(digest_text);
    if (!digest.ok()) {
        return call.fail(ErrorCode::DigestInvalid, digest.error().message());
    }
    call.body.set_limit(http::Body::unlimited);
    TRY(upload.append(call.body));
    auto finished = call.storage.finish_upload(upload, *digest);
    if (!finished.ok()) {
        return finished.error().kind() == ErrorKind::DataLoss
                   ? call.fail(ErrorCode::DigestInvalid, finished.error().message())
                   : call.fail(finished.error(), ErrorCode::BlobUploadUnknown);
    }
    return reply_created(call, *digest);
}

// The piece must begin where the last one ended: "<first>-<last>".
bool continues(const Call& call, const Upload& upload) {
    std::string_view range = call.request.headers.get("Content-Range");
    if (range.empty()) {
        return true;
    }
    if (range.starts_with("bytes ")) {
        range.remove_prefix(6);
    }
    std::optional<Cut> parts = cut(range, "-");
    auto first = parse_number<std::uint64_t>(parts ? parts->before : std::string_view());
    return first.ok() && *first == upload.size;
}

Result<void> refuse_piece(const Call& call, const Upload& upload) {
    return call.fail(
        ErrorCode::BlobUploadInvalid, "the upload is at another place", upload_headers(upload));
}

Result<void> begin(Call& call) {
    auto upload = call.storage.begin_upload(call.route.repository);
    if (!upload.ok()) {
        return call.fail(upload.error(), ErrorCode::NameUnknown);
    }
    if (call.request.query.contains("digest")) {
        std::lock_guard lock((*upload)->mutex);
        auto done = complete(call, **upload, call.request.query.get("digest"));
        call.storage.cancel_upload((*upload)->id);
        return done;
    }
    return call.response.respond(202, upload_headers(**upload));
}

} // namespace

Result<void> serve_blob(Call& call) {
    auto digest = parse_blob_digest(call.route.reference);
    if (!digest.ok()) {
        return call.fail(ErrorCode::DigestInvalid, digest.error().message());
    }
    if (call.reads()) {
        return send_blob(call, *digest);
    }
    if (call.request.method != "DELETE") {
        return call.refuse_method("GET, HEAD, DELETE");
    }
    auto removed = call.storage.remove_blob(call.route.repository, *digest);
    return removed.ok() ? call.response.respond(202, call.headers())
                        : call.fail(removed.error(), ErrorCode::BlobUnknown);
}

Result<void> serve_uploads(Call& call) {
    if (call.request.method != "POST") {
        return call.refuse_method("POST");
    }
    const http::Query& query = call.request.query;
    if (query.contains("mount")) {
        auto digest = parse_blob_digest(query.get("mount"));
        if (!digest.ok()) {
            return call.fail(ErrorCode::DigestInvalid, digest.error().message());
        }
        std::string from(query.get("from"));
        if (is_repository_name(from) &&
            TRY(call.storage.mount(from, call.route.repository, *digest))) {
            return reply_created(call, *digest);
        }
    }
    return begin(call);
}

Result<void> serve_upload(Call& call) {
    auto found = call.storage.find_upload(call.route.repository, call.route.reference);
    if (!found.ok()) {
        return call.fail(found.error(), ErrorCode::BlobUploadUnknown);
    }
    Upload& upload = **found;
    std::unique_lock lock(upload.mutex, std::try_to_lock);
    if (!lock.owns_lock()) {
        return call.fail(ErrorCode::TooManyRequests, "another request writes to this upload");
    }
    const std::string& method = call.request.method;
    if (call.reads()) {
        return call.response.respond(204, upload_headers(upload));
    }
    if (method == "DELETE") {
        call.storage.cancel_upload(upload.id);
        return call.response.respond(204, call.headers());
    }
    if (method != "PATCH" && method != "PUT") {
        return call.refuse_method("GET, HEAD, PATCH, PUT, DELETE");
    }
    if (!continues(call, upload)) {
        return refuse_piece(call, upload);
    }
    if (method == "PUT") {
        return complete(call, upload, call.request.query.get("digest"));
    }
    call.body.set_limit(http::Body::unlimited);
    TRY(upload.append(call.body));
    return call.response.respond(202, upload_headers(upload));
}

} // namespace berth::registry
