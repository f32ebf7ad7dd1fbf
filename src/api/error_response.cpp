// SPDX-License-Identifier: Apache-2.0
// The API's one table from kinds of errors to HTTP statuses, and the body of an error.
#include "api/error_response.h"

#include "base/verify.h"
#include "codec/json.h"

namespace berth::api {

unsigned status_of(ErrorKind kind) {
    switch (kind) {
    case ErrorKind::InvalidArgument:
        return 400;
    case ErrorKind::Unauthorized:
        return 401;
    case ErrorKind::Forbidden:
        return 403;
    case ErrorKind::NotFound:
        return 404;
    case ErrorKind::Conflict:
        return 409;
    case ErrorKind::NotModified:
        return 304;
    case ErrorKind::NotImplemented:
        return 501;
    case ErrorKind::Unavailable:
        return 503;
    // The client is gone already: nobody reads this.
    case ErrorKind::Cancelled:
        return 499;
    case ErrorKind::DeadlineExceeded:
        return 504;
    // A full disk, as dockerd has it. The router knows when it was the request's size (413).
    case ErrorKind::ResourceExhausted:
    case ErrorKind::DataLoss:
    case ErrorKind::Internal:
        return 500;
    }
    VERIFY(false);
}

std::string error_body(std::string_view message) {
    return json::serialize(json::Object{{"message", message}}) + "\n";
}

} // namespace berth::api
