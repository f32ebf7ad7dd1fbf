// SPDX-License-Identifier: Apache-2.0
// Blobs in, by any of the specification's ways: in one POST, in a POST and a PUT, in pieces or as a
// stream by PATCH, or by mounting what another repository has.
#include "registry/server/byte_range.h"
#include "registry/server/call.h"

#include <mutex>

namespace berth::registry {

namespace {

constexpr std::chrono::seconds patience{1};

std::string upload_location(const Upload& upload) {
    return "/v2/" + upload.repository->name + "/blobs/uploads/" + upload.id;
}

http::Headers upload_headers(const Call& call, const Upload& upload) {
    http::Headers headers = call.headers();
    headers.add("Location", upload_location(upload));
    headers.add("Docker-Upload-UUID", upload.id);
    headers.add("Range", "0-" + std::to_string(upload.size() == 0 ? 0 : upload.size() - 1));
    return headers;
}

Result<void> reply_created(const Call& call, const oci::Digest& digest) {
    http::Headers headers = call.headers();
    headers.add("Location", "/v2/" + call.route.repository + "/blobs/" + digest.to_string());
    headers.add("Docker-Content-Digest", digest.to_string());
    call.warn_of_quota(headers);
    return call.response.respond(201, std::move(headers));
}

// Given up before the answer goes out: the client's next request may be here at once.
using UploadLock = std::unique_lock<std::timed_mutex>;

// The rest of the body. What a broken connection or a full disk cuts off leaves what came before:
// the client may ask where the upload stands and go on.
Result<void> receive(Call& call, Upload& upload, std::uint64_t limit) {
    call.body.set_limit(limit);
    return upload.append(call.body);
}

Result<void> complete(Call& call, Upload& upload, UploadLock& lock, const oci::Digest& digest) {
    auto finished = call.storage().finish_upload(upload, digest);
    lock.unlock();
    if (finished.ok()) {
        return reply_created(call, digest);
    }
    return finished.error().kind() == ErrorKind::DataLoss
               ? call.fail(ErrorCode::DigestInvalid, finished.error().message())
               : call.fail(finished.error(), ErrorCode::BlobUploadUnknown);
}

Result<void> begin(Call& call) {
    const http::Query& query = call.request.query;
    std::string algorithm(query.get("digest-algorithm"));
    std::optional<oci::Digest> digest;
    if (query.contains("digest")) {
        auto parsed = oci::parse_blob_digest(query.get("digest"));
        if (!parsed.ok()) {
            return call.fail(ErrorCode::DigestInvalid, parsed.error().message());
        }
        digest = std::move(*parsed);
        algorithm = digest->algorithm();
    }
    auto begun = call.storage().begin_upload(
        call.route.repository, algorithm.empty() ? "sha256" : std::string_view(algorithm));
    if (!begun.ok()) {
        return begun.error().kind() == ErrorKind::NotImplemented
                   ? call.fail(ErrorCode::DigestInvalid, begun.error().message())
                   : call.fail(begun.error(), ErrorCode::NameUnknown);
    }
    Upload& upload = **begun;
    UploadLock lock(upload.mutex);
    if (digest) {
        auto received = receive(call, upload, http::Body::unlimited);
        if (!received.ok()) {
            call.storage().cancel_upload(upload); // nobody knows its id
            return call.fail(received.error(), ErrorCode::BlobUploadUnknown);
        }
        return complete(call, upload, lock, *digest);
    }
    lock.unlock();
    http::Headers headers = upload_headers(call, upload);
    if (call.service.options.chunk_min_length > 0) {
        headers.add("OCI-Chunk-Min-Length", std::to_string(call.service.options.chunk_min_length));
    }
    return call.response.respond(202, std::move(headers));
}

// Where the piece that a Content-Range announces does not go. nullopt: it fits.
struct Misfit {
    ErrorCode code;
    std::string detail;
};

std::optional<Misfit> check_piece(const Call& call, const Upload& upload, std::uint64_t& limit) {
    std::optional<std::string_view> header = call.request.headers.find("Content-Range");
    if (!header) {
        return std::nullopt;
    }
    auto range = parse_content_range(*header);
    if (!range.ok()) {
        return Misfit{ErrorCode::BlobUploadInvalid, range.error().message()};
    }
    std::optional<std::uint64_t> length = call.body.length();
    if (range->first != upload.size()) {
        return Misfit{
            ErrorCode::RangeInvalid,
            "the upload has " + std::to_string(upload.size()) + " bytes, the piece begins at " +
                std::to_string(range->first)};
    }
    if (length && *length != range->length()) {
        return Misfit{
            ErrorCode::SizeInvalid,
            "the Content-Range has " + std::to_string(range->length()) + " bytes, the body " +
                std::to_string(*length)};
    }
    limit = range->length();
    return std::nullopt;
}

Result<void> receive_piece(Call& call, Upload& upload, UploadLock& lock) {
    bool last = call.request.method == "PUT";
    std::optional<oci::Digest> digest;
    if (last) {
        auto parsed = oci::parse_blob_digest(call.request.query.get("digest"));
        if (!parsed.ok()) {
            return call.fail(ErrorCode::DigestInvalid, parsed.error().message());
        }
        digest = std::move(*parsed);
    }
    std::uint64_t limit = http::Body::unlimited;
    if (auto misfit = check_piece(call, upload, limit)) {
        return call.fail(misfit->code, misfit->detail, upload_headers(call, upload));
    }
    if (auto received = receive(call, upload, limit); !received.ok()) {
        return call.fail(received.error(), ErrorCode::BlobUploadUnknown);
    }
    if (last) {
        return complete(call, upload, lock, *digest);
    }
    http::Headers headers = upload_headers(call, upload);
    lock.unlock();
    return call.response.respond(202, std::move(headers));
}

// ?mount=<digest>[&from=<repository>]. nullopt: not there, an upload is to be begun.
Result<std::optional<oci::Digest>> mount(const Call& call) {
    const http::Query& query = call.request.query;
    auto digest = oci::parse_blob_digest(query.get("mount"));
    std::string from(query.get("from"));
    // Who may read what is decided by repository where there are tokens.
    bool anywhere = from.empty() && call.service.options.token.realm.empty();
    if (!digest.ok() || (!anywhere && !is_repository_name(from)) ||
        !TRY(call.storage().mount(from, call.route.repository, *digest))) {
        return std::optional<oci::Digest>();
    }
    return std::optional(std::move(*digest));
}

} // namespace

Result<void> serve_uploads(Call& call) {
    if (call.request.method != "POST") {
        return call.refuse_method("POST");
    }
    if (call.request.query.contains("mount")) {
        auto mounted = mount(call);
        if (!mounted.ok()) {
            return call.fail(mounted.error(), ErrorCode::BlobUnknown);
        }
        if (*mounted) {
            return reply_created(call, **mounted);
        }
    }
    return begin(call);
}

Result<void> serve_upload(Call& call) {
    auto found = call.storage().find_upload(call.route.repository, call.route.reference);
    if (!found.ok()) {
        return call.fail(found.error(), ErrorCode::BlobUploadUnknown);
    }
    Upload& upload = **found;
    // A request whose connection broke may still be taking its last bytes.
    UploadLock lock(upload.mutex, patience);
    if (!lock.owns_lock()) {
        return call.fail(ErrorCode::TooManyRequests, "another request uses this upload");
    }
    if (upload.over) {
        return call.fail(ErrorCode::BlobUploadUnknown, call.route.reference);
    }
    const std::string& method = call.request.method;
    if (call.reads()) {
        http::Headers headers = upload_headers(call, upload);
        lock.unlock();
        return call.response.respond(204, std::move(headers));
    }
    if (method == "DELETE") {
        http::Headers headers = call.headers();
        headers.add("Docker-Upload-UUID", upload.id);
        call.storage().cancel_upload(upload);
        return call.response.respond(204, std::move(headers));
    }
    if (method != "PATCH" && method != "PUT") {
        return call.refuse_method("GET, HEAD, PATCH, PUT, DELETE");
    }
    return receive_piece(call, upload, lock);
}

} // namespace berth::registry
