// SPDX-License-Identifier: Apache-2.0
// What a request to the registry's server is about, and how it is answered. Internal to the server.
#pragma once

#include "http/message.h"
#include "http/response_writer.h"
#include "oci/digest.h"
#include "registry/storage.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth::registry {

enum class Resource : std::uint8_t {
    Base,
    Catalog,
    Tags,
    Manifest,
    Blob,
    Uploads,
    Upload,
    Referrers,
};

struct Route {
    Resource resource = Resource::Base;
    std::string repository;
    std::string reference; // tag, digest or upload id
};

// nullopt for a path that is none of the specification's. The name is not checked yet.
std::optional<Route> parse_route(std::string_view path);

// The specification's error codes, and UNKNOWN.
enum class ErrorCode : std::uint8_t {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    SizeInvalid,
    TagInvalid,
    TooManyRequests,
    Unsupported,
    Unknown,
};

// One request on its way through the handlers.
struct Call {
    Storage& storage;
    http::Request& request;
    http::Body& body;
    http::ResponseWriter& response;
    Route route;

    // Docker-Distribution-Api-Version and what is added to it.
    http::Headers headers() const;
    Result<void> fail(ErrorCode code, std::string_view detail = {}, http::Headers extra = {}) const;
    // NotFound as `missing`, the rest as UNKNOWN or TOOMANYREQUESTS.
    Result<void> fail(const Error& error, ErrorCode missing) const;
    Result<void>
    reply_json(unsigned status, const json::Value& document, http::Headers extra) const;
    // 405, with what is allowed.
    Result<void> refuse_method(std::string_view allowed) const;

    bool reads() const { return request.method == "GET" || request.method == "HEAD"; }
};

// {"errors":[{"code":…,"message":…,"detail":…}]}
std::string error_document(ErrorCode code, std::string_view detail);
unsigned status_of(ErrorCode code);

// Only sha256 is stored.
Result<oci::Digest> parse_blob_digest(std::string_view text);

Result<void> serve_manifest(Call& call);
Result<void> serve_tags(Call& call);
Result<void> serve_catalog(Call& call);
Result<void> serve_referrers(Call& call);
Result<void> serve_blob(Call& call);
Result<void> serve_uploads(Call& call);
Result<void> serve_upload(Call& call);

} // namespace berth::registry
