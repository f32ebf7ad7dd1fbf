// SPDX-License-Identifier: Apache-2.0
// Errors as gRPC's codes and back, and bytes in gRPC's buffers.
#pragma once

#include "base/error.h"
#include "base/result.h"

#include <string>
#include <string_view>

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

namespace berth::build {

inline grpc::StatusCode code_of(ErrorKind kind) {
    switch (kind) {
    case ErrorKind::InvalidArgument:
        return grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorKind::Unauthorized:
        return grpc::StatusCode::UNAUTHENTICATED;
    case ErrorKind::Forbidden:
        return grpc::StatusCode::PERMISSION_DENIED;
    case ErrorKind::NotFound:
        return grpc::StatusCode::NOT_FOUND;
    case ErrorKind::Conflict:
        return grpc::StatusCode::ALREADY_EXISTS;
    case ErrorKind::NotModified:
        return grpc::StatusCode::FAILED_PRECONDITION;
    case ErrorKind::NotImplemented:
        return grpc::StatusCode::UNIMPLEMENTED;
    case ErrorKind::Unavailable:
        return grpc::StatusCode::UNAVAILABLE;
    case ErrorKind::ResourceExhausted:
        return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case ErrorKind::Cancelled:
        return grpc::StatusCode::CANCELLED;
    case ErrorKind::DeadlineExceeded:
        return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorKind::DataLoss:
        return grpc::StatusCode::DATA_LOSS;
    case ErrorKind::Internal:
        return grpc::StatusCode::UNKNOWN;
    }
    return grpc::StatusCode::UNKNOWN;
}

inline ErrorKind kind_of(grpc::StatusCode code) {
    for (const ErrorKind kind :
         {ErrorKind::InvalidArgument,
          ErrorKind::Unauthorized,
          ErrorKind::Forbidden,
          ErrorKind::NotFound,
          ErrorKind::Conflict,
          ErrorKind::NotImplemented,
          ErrorKind::Unavailable,
          ErrorKind::ResourceExhausted,
          ErrorKind::Cancelled,
          ErrorKind::DeadlineExceeded,
          ErrorKind::DataLoss}) {
        if (code_of(kind) == code) {
            return kind;
        }
    }
    return ErrorKind::Internal;
}

inline grpc::Status to_status(const Result<void>& outcome) {
    if (outcome.ok()) {
        return grpc::Status::OK;
    }
    return {code_of(outcome.error().kind()), outcome.error().message()};
}

inline Result<void> from_status(const grpc::Status& status) {
    if (status.ok()) {
        return ok();
    }
    return Error(kind_of(status.error_code()), status.error_message());
}

inline grpc::ByteBuffer to_buffer(std::string_view bytes) {
    const grpc::Slice slice(bytes.data(), bytes.size());
    return {&slice, 1};
}

inline std::string to_bytes(const grpc::ByteBuffer& buffer) {
    std::vector<grpc::Slice> slices;
    std::string bytes;
    if (buffer.Dump(&slices).ok()) {
        bytes.reserve(buffer.Length());
        for (const grpc::Slice& slice : slices) {
            bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
        }
    }
    return bytes;
}

} // namespace berth::build
