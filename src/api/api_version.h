// SPDX-License-Identifier: Apache-2.0
// Versions of the Docker Engine API: the prefix of a path ("/v1.41/…"), and what we speak.
#pragma once

#include "base/result.h"

#include <compare>
#include <string>
#include <string_view>

namespace berth::api {

struct ApiVersion {
    int major = 1;
    int minor = 0;

    // "1.41"; parts behind the second are ignored, as dockerd does.
    static Result<ApiVersion> parse(std::string_view text);
    std::string to_string() const;

    auto operator<=>(const ApiVersion&) const = default;
};

inline constexpr ApiVersion minimum_version{1, 24};
inline constexpr ApiVersion maximum_version{1, 56};

// A path without its version prefix. `prefix` is empty when there was none.
struct VersionedPath {
    std::string_view prefix; // "1.41"
    std::string_view path;   // "/containers/json"
};

VersionedPath split_version(std::string_view path);

// The version to speak: the maximum without a prefix. InvalidArgument, in Docker's words, for one
// that is too old or too new.
Result<ApiVersion> negotiate(std::string_view prefix);

} // namespace berth::api
