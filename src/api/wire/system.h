// SPDX-License-Identifier: Apache-2.0
// docker info and docker version as the API writes them.
#pragma once

#include "api/api_version.h"
#include "codec/json.h"
#include "engine/system.h"

namespace berth::api::wire {

json::Value encode_info(const engine::SystemInfo& info, ApiVersion version);
json::Value encode_version(const engine::SystemVersion& version);

} // namespace berth::api::wire
