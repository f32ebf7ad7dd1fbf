// SPDX-License-Identifier: Apache-2.0
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints and #error-codes
#include "registry/server_route.h"

#include "base/strings.h"
#include "codec/json.h"

namespace berth::registry {

namespace {

struct CodeEntry {
    ErrorCode code;
    std::string_view name;
    std::string_view message;
    unsigned status;
};

constexpr CodeEntry code_table[] = {
    {ErrorCode::BlobUnknown, "BLOB_UNKNOWN", "blob unknown to registry", 404},
    {ErrorCode::BlobUploadInvalid, "BLOB_UPLOAD_INVALID", "blob upload invalid", 416},
    {ErrorCode::BlobUploadUnknown, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", 404},
    {ErrorCode::DigestInvalid,
     "DIGEST_INVALID",
     "provided digest did not match uploaded content",
     400},
    {ErrorCode::ManifestBlobUnknown, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", 400},
    {ErrorCode::ManifestInvalid, "MANIFEST_INVALID", "manifest invalid", 400},
    {ErrorCode::ManifestUnknown, "MANIFEST_UNKNOWN", "manifest unknown", 404},
    {ErrorCode::NameInvalid, "NAME_INVALID", "invalid repository name", 400},
    {ErrorCode::NameUnknown, "NAME_UNKNOWN", "repository name not known to registry", 404},
    {ErrorCode::PaginationNumberInvalid,
     "PAGINATION_NUMBER_INVALID",
     "invalid number of results requested",
     400},
    {ErrorCode::SizeInvalid, "SIZE_INVALID", "provided length did not match content length", 413},
    {ErrorCode::TagInvalid, "TAG_INVALID", "manifest tag did not match URI", 400},
    {ErrorCode::TooManyRequests, "TOOMANYREQUESTS", "too many requests", 429},
    {ErrorCode::Unsupported, "UNSUPPORTED", "The operation is unsupported.", 405},
    {ErrorCode::Unknown, "UNKNOWN", "unknown error", 500},
};

const CodeEntry& entry_of(ErrorCode code) {
    for (const CodeEntry& entry : code_table) {
        if (entry.code == code) {
            return entry;
        }
    }
    VERIFY(false);
}

} // namespace

std::optional<Route> parse_route(std::string_view path) {
    if (path == "/v2" || path == "/v2/") {
        return Route{.resource = Resource::Base};
    }
    if (!path.starts_with("/v2/")) {
        return std::nullopt;
    }
    path.remove_prefix(4);
    if (path == "_catalog") {
        return Route{.resource = Resource::Catalog};
    }
    if (path.ends_with("/tags/list")) {
        return Route{Resource::Tags, std::string(path.substr(0, path.size() - 10)), {}};
    }
    // A name may itself have a component "blobs": the last one that fits counts.
    if (std::optional<Cut> parts = cut_last(path, "/blobs/uploads/");
        parts && parts->after.find('/') == std::string_view::npos) {
        Resource resource = parts->after.empty() ? Resource::Uploads : Resource::Upload;
        return Route{resource, std::string(parts->before), std::string(parts->after)};
    }
    std::optional<Cut> last = cut_last(path, "/");
    std::optional<Cut> kind = last ? cut_last(last->before, "/") : std::nullopt;
    if (!kind || last->after.empty()) {
        return std::nullopt;
    }
    if (last->after == "uploads" && kind->after == "blobs") {
        return Route{Resource::Uploads, std::string(kind->before), {}};
    }
    for (auto [name, resource] :
         {std::pair<std::string_view, Resource>{"manifests", Resource::Manifest},
          {"blobs", Resource::Blob},
          {"referrers", Resource::Referrers}}) {
        if (kind->after == name) {
            return Route{resource, std::string(kind->before), std::string(last->after)};
        }
    }
    return std::nullopt;
}

std::string error_document(ErrorCode code, std::string_view detail) {
    const CodeEntry& entry = entry_of(code);
    json::Object error{{"code", entry.name}, {"message", entry.message}};
    if (!detail.empty()) {
        error["detail"] = detail;
    }
    return json::serialize(json::Object{{"errors", json::Array{std::move(error)}}});
}

unsigned status_of(ErrorCode code) {
    return entry_of(code).status;
}

Result<oci::Digest> parse_blob_digest(std::string_view text) {
    oci::Digest digest = TRY(oci::Digest::parse(text));
    if (digest.algorithm() != "sha256") {
        return not_implemented(
            "digests of algorithm " + std::string(digest.algorithm()) + " are not supported");
    }
    return digest;
}

http::Headers Call::headers() const {
    return {{"Docker-Distribution-Api-Version", "registry/2.0"}};
}

Result<void> Call::fail(ErrorCode code, std::string_view detail, http::Headers extra) const {
    extra.add("Docker-Distribution-Api-Version", "registry/2.0");
    extra.set("Content-Type", "application/json; charset=utf-8");
    return response.respond(status_of(code), std::move(extra), error_document(code, detail));
}

Result<void> Call::fail(const Error& error, ErrorCode missing) const {
    if (response.begun()) {
        return error;
    }
    switch (error.kind()) {
    case ErrorKind::NotFound:
        return fail(missing, error.message());
    case ErrorKind::ResourceExhausted:
        return body.limit_passed() ? fail(ErrorCode::SizeInvalid, error.message())
                                   : fail(ErrorCode::TooManyRequests, error.message());
    case ErrorKind::InvalidArgument:
    case ErrorKind::Unauthorized:
    case ErrorKind::Forbidden:
    case ErrorKind::Conflict:
    case ErrorKind::NotModified:
    case ErrorKind::NotImplemented:
    case ErrorKind::Unavailable:
    case ErrorKind::Cancelled:
    case ErrorKind::DeadlineExceeded:
    case ErrorKind::DataLoss:
    case ErrorKind::Internal:
        return fail(ErrorCode::Unknown, error.message());
    }
    return fail(ErrorCode::Unknown, error.message());
}

Result<void>
Call::reply_json(unsigned status, const json::Value& document, http::Headers extra) const {
    extra.add("Docker-Distribution-Api-Version", "registry/2.0");
    if (!extra.contains("Content-Type")) {
        extra.add("Content-Type", "application/json; charset=utf-8");
    }
    return response.respond(status, std::move(extra), json::serialize(document));
}

Result<void> Call::refuse_method(std::string_view allowed) const {
    return fail(ErrorCode::Unsupported, {}, {{"Allow", std::string(allowed)}});
}

} // namespace berth::registry
