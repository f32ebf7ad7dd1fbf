// SPDX-License-Identifier: Apache-2.0
// Versions of the Docker Engine API: the prefix of a path ("/v1.41/…"), and what we speak.
#include "api/api_version.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::api {

Result<ApiVersion> ApiVersion::parse(std::string_view text) {
    const auto parts = split(text, '.');
    ApiVersion version;
    version.major = TRY(parse_number<int>(parts[0]));
    version.minor = parts.size() > 1 ? TRY(parse_number<int>(parts[1])) : 0;
    return version;
}

std::string ApiVersion::to_string() const {
    return std::to_string(major) + "." + std::to_string(minor);
}

VersionedPath split_version(std::string_view path) {
    if (!path.starts_with("/v")) {
        return {"", path};
    }
    const std::size_t end = std::min(path.find('/', 2), path.size());
    const std::string_view prefix = path.substr(2, end - 2);
    const bool is_version =
        !prefix.empty() && prefix.find_first_not_of("0123456789.") == std::string_view::npos;
    if (!is_version) {
        return {"", path};
    }
    return {prefix, path.substr(end)};
}

Result<ApiVersion> negotiate(std::string_view prefix) {
    if (prefix.empty()) {
        return maximum_version;
    }
    auto version = ApiVersion::parse(prefix);
    if (!version.ok()) {
        return invalid_argument("invalid API version \"" + std::string(prefix) + "\"");
    }
    if (*version < minimum_version) {
        return invalid_argument(
            "client version " + std::string(prefix) +
            " is too old. Minimum supported API version is " + minimum_version.to_string() +
            ", please upgrade your client to a newer version");
    }
    if (*version > maximum_version) {
        return invalid_argument(
            "client version " + std::string(prefix) +
            " is too new. Maximum supported API version is " + maximum_version.to_string());
    }
    return *version;
}

} // namespace berth::api
