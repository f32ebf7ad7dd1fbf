// SPDX-License-Identifier: Apache-2.0
// Volumes as the API reads and writes them.
#pragma once

#include "codec/json.h"
#include "engine/container_config_json.h"
#include "engine/containers.h"
#include "engine/volumes.h"

namespace berth::api::wire {

json::Value encode_volume(const engine::VolumeInfo& volume);

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<engine::VolumeCreate> {
    using T = engine::VolumeCreate;
    static constexpr auto table = std::tuple{
        field("Name", &T::name),
        field("Driver", &T::driver),
        field("DriverOpts", &T::options),
        field("Labels", &T::labels)};
};

template <>
struct Fields<engine::MountRequest> {
    using T = engine::MountRequest;
    static constexpr auto table = std::tuple{field("Bind", &T::bind), field("Mount", &T::mount)};
};

} // namespace berth::json
