// SPDX-License-Identifier: Apache-2.0
// Answers that every handler gives.
#include "registry/server/call.h"

#include <cerrno>

namespace berth::registry {

namespace {

bool is_full_disk(const Error& error) {
    return error.error_number() == ENOSPC || error.error_number() == EDQUOT;
}

} // namespace

http::Headers Call::headers() const {
    return {{"Docker-Distribution-Api-Version", "registry/2.0"}};
}

Result<void> Call::fail(ErrorCode code, std::string_view detail, http::Headers extra) const {
    return fail_as(status_of(code), code, detail, std::move(extra));
}

Result<void>
Call::fail_as(unsigned status, ErrorCode code, std::string_view detail, http::Headers extra) const {
    extra.set("Docker-Distribution-Api-Version", "registry/2.0");
    extra.set("Content-Type", "application/json; charset=utf-8");
    return response.respond(status, std::move(extra), error_document(code, detail));
}

Result<void> Call::fail(const Error& error, ErrorCode missing) const {
    if (response.begun()) {
        return error;
    }
    if (is_full_disk(error)) {
        return fail_as(507, ErrorCode::Unknown, error.message());
    }
    switch (error.kind()) {
    case ErrorKind::NotFound:
        return fail(missing, error.message());
    case ErrorKind::ResourceExhausted:
        return body.limit_passed() ? fail_as(413, ErrorCode::SizeInvalid, error.message())
                                   : fail(ErrorCode::TooManyRequests, error.message());
    case ErrorKind::Forbidden:
        return fail(ErrorCode::Denied, error.message());
    case ErrorKind::Unavailable:
        return fail(ErrorCode::Unavailable, error.message());
    case ErrorKind::NotImplemented:
        return fail(ErrorCode::Unsupported, error.message());
    case ErrorKind::InvalidArgument:
    case ErrorKind::Unauthorized:
    case ErrorKind::Conflict:
    case ErrorKind::NotModified:
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
    extra.set("Docker-Distribution-Api-Version", "registry/2.0");
    if (!extra.contains("Content-Type")) {
        extra.add("Content-Type", "application/json; charset=utf-8");
    }
    return response.respond(status, std::move(extra), json::serialize(document) + "\n");
}

Result<void> Call::refuse_method(std::string_view allowed) const {
    return fail(ErrorCode::Unsupported, {}, {{"Allow", std::string(allowed)}});
}

void Call::warn_of_quota(http::Headers& headers) const {
    auto repository = storage().find_repository(route.repository);
    const Usage* own = repository ? &repository->usage : nullptr;
    for (const Usage* usage : {own, &storage().usage()}) {
        if (usage != nullptr && usage->limit() != 0 && usage->used() > usage->limit() / 10 * 9) {
            headers.add(
                "Warning",
                warning_value(
                    usage->what() + " has used " + std::to_string(usage->used()) + " of its " +
                    std::to_string(usage->limit()) + " bytes"));
        }
    }
}

std::string warning_value(std::string_view text) {
    std::string value = "299 - \"";
    for (char c : text) {
        if (c == '"' || c == '\\') {
            value += '\\';
        }
        value += c;
    }
    return value + "\"";
}

} // namespace berth::registry
