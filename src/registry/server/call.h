// SPDX-License-Identifier: Apache-2.0
// One request on its way through the handlers, and what they share. Internal to the server.
#pragma once

#include "codec/json.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "registry/server/error_code.h"
#include "registry/server/options.h"
#include "registry/server/route.h"
#include "registry/server/storage.h"

#include <stop_token>
#include <string>
#include <string_view>

namespace berth::registry {

class Upstream;

struct Service {
    const Options& options;
    Storage& storage;
    Upstream* upstream; // nullptr: this registry is no cache of another one
};

struct Call {
    const Service& service;
    std::stop_token stop;
    http::Request& request;
    http::Body& body;
    http::ResponseWriter& response;
    Route route;

    Storage& storage() const { return service.storage; }

    bool reads() const { return request.method == "GET" || request.method == "HEAD"; }

    // Docker-Distribution-Api-Version and what is added to it.
    http::Headers headers() const;
    Result<void> fail(ErrorCode code, std::string_view detail = {}, http::Headers extra = {}) const;
    Result<void> fail_as(
        unsigned status, ErrorCode code, std::string_view detail, http::Headers extra = {}) const;
    // NotFound as `missing`, a quota as DENIED, a full disk as 507, the rest as fits.
    Result<void> fail(const Error& error, ErrorCode missing) const;
    Result<void>
    reply_json(unsigned status, const json::Value& document, http::Headers extra) const;
    // 405, with what is allowed.
    Result<void> refuse_method(std::string_view allowed) const;
    // A Warning as the specification has it, when the repository's quota is nearly used.
    void warn_of_quota(http::Headers& headers) const;
};

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings
std::string warning_value(std::string_view text);

Result<void> serve_manifest(Call& call);
Result<void> serve_tags(Call& call);
Result<void> serve_catalog(Call& call);
Result<void> serve_referrers(Call& call);
Result<void> serve_blob(Call& call);
Result<void> serve_uploads(Call& call);
Result<void> serve_upload(Call& call);

} // namespace berth::registry
