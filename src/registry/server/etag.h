// SPDX-License-Identifier: Apache-2.0
// What is named by a digest has that for its entity tag.
#pragma once

#include "base/strings.h"
#include "oci/digest.h"

#include <string>
#include <string_view>

namespace berth::registry {

inline std::string etag_of(const oci::Digest& digest) {
    return "\"" + digest.to_string() + "\"";
}

// One of an If-None-Match header's tags, weak or strong; without quotes too, as docker-registry
// takes them.
inline bool etag_matches(std::string_view header, const oci::Digest& digest) {
    for (std::string_view part : split(header, ',')) {
        std::string_view tag = trim(part);
        if (tag.starts_with("W/")) {
            tag.remove_prefix(2);
        }
        if (tag == "*" || tag == digest.to_string() || tag == etag_of(digest)) {
            return true;
        }
    }
    return false;
}

} // namespace berth::registry
