// SPDX-License-Identifier: Apache-2.0
// Images as the API writes them.
#pragma once

#include "api/api_version.h"
#include "codec/json.h"
#include "engine/images.h"

namespace berth::api::wire {

json::Value encode_image_summary(const engine::ImageSummary& image, ApiVersion version);
// As an element of what takes space: Go's null for no tags and no digests.
json::Value encode_image_usage(const engine::ImageSummary& image, ApiVersion version);
json::Value encode_image_inspect(const engine::ImageInspect& image, ApiVersion version);

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<engine::ImageRemoval> {
    using T = engine::ImageRemoval;
    static constexpr auto table = std::tuple{
        field("Untagged", &T::untagged, OmitEmpty), field("Deleted", &T::deleted, OmitEmpty)};
};

} // namespace berth::json
