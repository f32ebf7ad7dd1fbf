// SPDX-License-Identifier: Apache-2.0
// Registries answer errors in many shapes; what cannot be read becomes the status and the text.
#include "registry/api_error.h"

#include "base/strings.h"
#include "codec/json.h"
#include "http/message.h"

namespace berth::registry {

namespace {

struct Entry {
    std::string code;
    std::string message;
};

struct Document {
    std::vector<Entry> errors;
    std::string details; // Docker Hub's token server
};

} // namespace

} // namespace berth::registry

template <>
struct berth::json::Fields<berth::registry::Entry> {
    using T = registry::Entry;
    static constexpr auto table =
        std::tuple{field("code", &T::code), field("message", &T::message)};
};

template <>
struct berth::json::Fields<berth::registry::Document> {
    using T = registry::Document;
    static constexpr auto table =
        std::tuple{field("errors", &T::errors), field("details", &T::details)};
};

namespace berth::registry {

namespace {

std::string default_code(unsigned status) {
    switch (status) {
    case 401:
        return "UNAUTHORIZED";
    case 403:
        return "DENIED";
    case 429:
        return "TOOMANYREQUESTS";
    default:
        return {};
    }
}

std::string default_message(std::string_view code, unsigned status) {
    if (code == "UNAUTHORIZED") {
        return "authentication required";
    }
    if (code == "DENIED") {
        return "requested access to the resource is denied";
    }
    return "received unexpected HTTP status: " + std::to_string(status) + " " +
           std::string(http::reason_phrase(status));
}

ErrorKind kind_of(unsigned status, std::string_view code) {
    if (code == "DENIED" || status == 403) {
        return ErrorKind::Forbidden;
    }
    if (code == "UNAUTHORIZED" || status == 401) {
        return ErrorKind::Unauthorized;
    }
    if (status == 404) {
        return ErrorKind::NotFound;
    }
    if (status == 429) {
        return ErrorKind::ResourceExhausted;
    }
    if (status >= 400 && status < 500) {
        return ErrorKind::InvalidArgument;
    }
    return ErrorKind::Unavailable;
}

} // namespace

std::string ApiError::to_string() const {
    if (code.empty()) {
        return message;
    }
    return replace_all(to_lower(code), "_", " ") + ": " + message;
}

Error ApiError::to_error() const {
    return Error(kind_of(status, code), to_string());
}

ApiError parse_api_error(unsigned status, std::string_view body) {
    ApiError error{.status = status};
    auto document = json::decode_text<Document>(body);
    if (document.ok() && !document->errors.empty()) {
        error.code = to_upper(document->errors.front().code);
        error.message = document->errors.front().message;
    } else if (document.ok()) {
        error.message = document->details;
    }
    if (error.code.empty()) {
        error.code = default_code(status);
    }
    if (error.message.empty()) {
        error.message = default_message(error.code, status);
    }
    return error;
}

} // namespace berth::registry
