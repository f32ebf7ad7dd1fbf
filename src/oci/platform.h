// SPDX-License-Identifier: Apache-2.0
// os/architecture/variant, with the aliases people use ("x86_64", "aarch64", "armhf").
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::oci {

struct Platform {
    std::string architecture;
    std::string os;
    std::string os_version;
    std::vector<std::string> os_features;
    std::string variant;

    // The machine that runs this program.
    static Platform host();
    // "linux/arm64/v8", "arm64", "linux"; parts that are missing are the host's.
    static Result<Platform> parse(std::string_view text);

    // Go's names: amd64, arm64 (variant v8 dropped), arm v7, 386.
    Platform normalized() const;
    // "linux/arm/v7"
    std::string to_string() const;

    // Whether an image of this platform runs where `wanted` is asked for: an older variant of the
    // same architecture does.
    bool runs_on(const Platform& wanted) const;

    bool operator==(const Platform&) const = default;
};

// The index of the best candidate for wanted (the nearest variant that runs there, the first of
// equals), or -1.
int best_match(std::span<const Platform> candidates, const Platform& wanted);

} // namespace berth::oci

template <>
struct berth::json::Fields<berth::oci::Platform> {
    using T = oci::Platform;
    static constexpr auto table = std::tuple{
        field("architecture", &T::architecture),
        field("os", &T::os),
        field("os.version", &T::os_version, OmitEmpty),
        field("os.features", &T::os_features, OmitEmpty),
        field("variant", &T::variant, OmitEmpty)};
};
