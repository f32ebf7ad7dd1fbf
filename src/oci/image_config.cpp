// SPDX-License-Identifier: Apache-2.0
// Image configurations: reading with checks, chain ids.
#include "oci/image_config.h"

#include <algorithm>

namespace berth::oci {

namespace {

constexpr std::size_t config_limit = 8U << 20;
// Overlay mounts and Docker itself know no more than 127; anything near it is no honest image.
constexpr std::size_t layer_limit = 1024;

} // namespace

Result<ImageConfig> ImageConfig::parse(std::string_view bytes) {
    const json::Value document =
        TRY_CONTEXT(json::parse(bytes, {.bytes = config_limit}), "image configuration");
    if (json::find(document, "rootfs") == nullptr) {
        return invalid_argument("image configuration: invalid image JSON, no RootFS key");
    }
    auto config = TRY_CONTEXT(json::decode<ImageConfig>(document), "image configuration");
    if (config.rootfs.type != "layers") {
        return invalid_argument(
            "image configuration: unsupported rootfs type \"" + config.rootfs.type + "\"");
    }
    if (config.rootfs.diff_ids.size() > layer_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "image configuration exceeds the limit of " + std::to_string(layer_limit) + " layers");
    }
    const auto& diff_ids = config.rootfs.diff_ids;
    if (std::any_of(
            diff_ids.begin(), diff_ids.end(), [](const Digest& id) { return id.empty(); })) {
        return invalid_argument("image configuration: an empty diff id");
    }
    const auto layers =
        std::count_if(config.history.begin(), config.history.end(), [](const HistoryEntry& entry) {
            return !entry.empty_layer;
        });
    if (static_cast<std::size_t>(layers) > diff_ids.size()) {
        return invalid_argument("image configuration: the history has more layers than the rootfs");
    }
    return config;
}

std::string ImageConfig::serialize() const {
    return json::encode_text(*this);
}

Digest ImageConfig::chain_id() const {
    Digest chain;
    for (const Digest& diff_id : rootfs.diff_ids) {
        chain = oci::chain_id(chain, diff_id);
    }
    return chain;
}

Digest chain_id(const Digest& parent, const Digest& diff_id) {
    if (parent.empty()) {
        return diff_id;
    }
    return Digest::of(parent.to_string() + " " + diff_id.to_string());
}

} // namespace berth::oci
