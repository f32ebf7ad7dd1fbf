// SPDX-License-Identifier: Apache-2.0
// The error document of the distribution specification as a client reads it, in the words of
// docker/distribution's errcode package.
#pragma once

#include "base/error.h"

#include <string>
#include <string_view>

namespace berth::registry {

// `code` is the specification's ("MANIFEST_UNKNOWN"), "" when the answer had none.
struct ApiError {
    unsigned status = 0;
    std::string code;
    std::string message;

    // "manifest unknown: manifest unknown"
    std::string to_string() const;
    // The kind that the status and code stand for.
    Error to_error() const;
};

ApiError parse_api_error(unsigned status, std::string_view body);

} // namespace berth::registry
