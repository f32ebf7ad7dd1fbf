// SPDX-License-Identifier: Apache-2.0
// Volumes as the API reads and writes them.
#include "api/wire/volume.h"

#include "base/time.h"

#include <optional>

namespace berth::api::wire {

namespace {

struct UsageData {
    std::int64_t reference_count = 0;
    std::int64_t size = 0;
};

struct Volume {
    Timestamp created_at;
    std::string driver;
    engine::StringMap labels;
    std::string mountpoint;
    std::string name;
    engine::StringMap options;
    std::string scope;
    json::Value status;
    std::optional<UsageData> usage_data;
};

} // namespace

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<api::wire::UsageData> {
    using T = api::wire::UsageData;
    static constexpr auto table =
        std::tuple{field("RefCount", &T::reference_count), field("Size", &T::size)};
};

template <>
struct Fields<api::wire::Volume> {
    using T = api::wire::Volume;
    static constexpr auto table = std::tuple{
        field("CreatedAt", &T::created_at, OmitEmpty),
        field("Driver", &T::driver),
        field("Labels", &T::labels, NullWhenEmpty),
        field("Mountpoint", &T::mountpoint),
        field("Name", &T::name),
        field("Options", &T::options, NullWhenEmpty),
        field("Scope", &T::scope),
        field("Status", &T::status, OmitEmpty),
        field("UsageData", &T::usage_data, OmitEmpty)};
};

} // namespace berth::json

namespace berth::api::wire {

json::Value encode_volume(const engine::VolumeInfo& volume) {
    Volume wire{
        // Docker prints whole seconds here.
        .created_at = Timestamp::from_seconds(volume.created.seconds()),
        .driver = volume.driver,
        .labels = volume.labels,
        .mountpoint = volume.mountpoint,
        .name = volume.name,
        .options = volume.options,
        .scope = volume.scope,
        .status = {},
        .usage_data = {},
    };
    // An anonymous volume is known by a label without a value.
    if (volume.anonymous) {
        wire.labels.emplace("com.docker.volume.anonymous", "");
    }
    if (auto status = json::parse(volume.status.empty() ? "null" : volume.status); status.ok()) {
        wire.status = std::move(*status);
    }
    if (volume.size) {
        wire.usage_data = {.reference_count = volume.reference_count, .size = *volume.size};
    }
    return json::encode(wire);
}

} // namespace berth::api::wire
