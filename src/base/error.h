// SPDX-License-Identifier: Apache-2.0
// Error: what went wrong, as a value. A kind that faces translate (HTTP status, exit code), a
// sentence that names the thing and the cause, and errno where the kernel gave one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace berth {

enum class ErrorKind : std::uint8_t {
    InvalidArgument,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    NotModified,
    NotImplemented,
    Unavailable,
    ResourceExhausted,
    Cancelled,
    DeadlineExceeded,
    DataLoss,
    Internal,
};

std::string_view to_string(ErrorKind kind);

class [[nodiscard]] Error {
  public:
    Error(ErrorKind kind, std::string message)
        : message_(std::move(message))
        , kind_(kind) {}

    // "<what>: <strerror(errno)>", kind Internal; errno never picks the kind: the layer that knows
    // the user's noun does, with as().
    static Error from_errno(std::string_view what, int error_number);

    ErrorKind kind() const { return kind_; }

    const std::string& message() const { return message_; }

    // 0 when no system call failed.
    int error_number() const { return error_number_; }

    // The same error with another kind.
    Error as(ErrorKind kind) &&;

    // The same error with "<context>: " before its message.
    Error with_context(std::string_view context) &&;

  private:
    std::string message_;
    int error_number_ = 0;
    ErrorKind kind_;
};

// Shorthands for the common kinds.
Error invalid_argument(std::string message);
Error not_found(std::string message);
Error conflict(std::string message);
Error not_implemented(std::string message);
Error internal_error(std::string message);
Error errno_error(std::string_view what); // reads errno

} // namespace berth
