// SPDX-License-Identifier: Apache-2.0
// The specification's error codes with docker/distribution's words and statuses.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::registry {

enum class ErrorCode : std::uint8_t {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unknown,
    Unsupported,
};

unsigned status_of(ErrorCode code);

// {"errors":[{"code":…,"message":…,"detail":…}]}
std::string error_document(ErrorCode code, std::string_view detail);

} // namespace berth::registry
