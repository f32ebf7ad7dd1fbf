// SPDX-License-Identifier: Apache-2.0
// RANGE_INVALID and UNKNOWN are docker/distribution's own.
#include "registry/server/error_code.h"

#include "base/verify.h"
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
    {ErrorCode::BlobUploadInvalid, "BLOB_UPLOAD_INVALID", "blob upload invalid", 400},
    {ErrorCode::BlobUploadUnknown, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", 404},
    {ErrorCode::Denied, "DENIED", "requested access to the resource is denied", 403},
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
    {ErrorCode::RangeInvalid, "RANGE_INVALID", "invalid content range", 416},
    {ErrorCode::SizeInvalid, "SIZE_INVALID", "provided length did not match content length", 400},
    {ErrorCode::TagInvalid, "TAG_INVALID", "manifest tag did not match URI", 400},
    {ErrorCode::TooManyRequests, "TOOMANYREQUESTS", "too many requests", 429},
    {ErrorCode::Unauthorized, "UNAUTHORIZED", "authentication required", 401},
    {ErrorCode::Unavailable, "UNAVAILABLE", "service unavailable", 503},
    {ErrorCode::Unknown, "UNKNOWN", "unknown error", 500},
    {ErrorCode::Unsupported, "UNSUPPORTED", "The operation is unsupported.", 405},
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

unsigned status_of(ErrorCode code) {
    return entry_of(code).status;
}

std::string error_document(ErrorCode code, std::string_view detail) {
    const CodeEntry& entry = entry_of(code);
    json::Object error{{"code", entry.name}, {"message", entry.message}};
    if (!detail.empty()) {
        error["detail"] = detail;
    }
    return json::serialize(json::Object{{"errors", json::Array{std::move(error)}}}) + "\n";
}

} // namespace berth::registry
