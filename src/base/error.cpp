// SPDX-License-Identifier: Apache-2.0
// Error's text and shorthands.
#include "base/error.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace berth {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
    case ErrorKind::InvalidArgument:
        return "invalid argument";
    case ErrorKind::Unauthorized:
        return "unauthorized";
    case ErrorKind::Forbidden:
        return "forbidden";
    case ErrorKind::NotFound:
        return "not found";
    case ErrorKind::Conflict:
        return "conflict";
    case ErrorKind::NotModified:
        return "not modified";
    case ErrorKind::NotImplemented:
        return "not implemented";
    case ErrorKind::Unavailable:
        return "unavailable";
    case ErrorKind::ResourceExhausted:
        return "resource exhausted";
    case ErrorKind::Cancelled:
        return "cancelled";
    case ErrorKind::DeadlineExceeded:
        return "deadline exceeded";
    case ErrorKind::DataLoss:
        return "data loss";
    case ErrorKind::Internal:
        return "internal";
    }
    return "unknown";
}

Error Error::from_errno(std::string_view what, int error_number) {
    // Go programs, and so Docker's clients and their users, know these texts in lower case.
    char buffer[128];
    const char* text = ::strerror_r(error_number, buffer, sizeof buffer);
    std::string cause = text;
    if (cause.size() > 1 && cause[0] >= 'A' && cause[0] <= 'Z' && cause[1] >= 'a' &&
        cause[1] <= 'z') {
        cause[0] = static_cast<char>(cause[0] - 'A' + 'a');
    }
    Error error(ErrorKind::Internal, std::string(what) + ": " + cause);
    error.error_number_ = error_number;
    return error;
}

Error Error::as(ErrorKind kind) && {
    kind_ = kind;
    return std::move(*this);
}

Error Error::with_context(std::string_view context) && {
    message_.insert(0, std::string(context) + ": ");
    return std::move(*this);
}

Error invalid_argument(std::string message) {
    return {ErrorKind::InvalidArgument, std::move(message)};
}

Error not_found(std::string message) {
    return {ErrorKind::NotFound, std::move(message)};
}

Error conflict(std::string message) {
    return {ErrorKind::Conflict, std::move(message)};
}

Error not_implemented(std::string message) {
    return {ErrorKind::NotImplemented, std::move(message)};
}

Error internal_error(std::string message) {
    return {ErrorKind::Internal, std::move(message)};
}

Error errno_error(std::string_view what) {
    return Error::from_errno(what, errno);
}

} // namespace berth
