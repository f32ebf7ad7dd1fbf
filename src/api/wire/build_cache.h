// SPDX-License-Identifier: Apache-2.0
// The build cache as the API writes it.
#pragma once

#include "api/api_version.h"
#include "build/build_cache.h"
#include "codec/json.h"

#include <vector>

namespace berth::api::wire {

json::Array
encode_cache_records(const std::vector<build::CacheRecord>& records, ApiVersion version);

} // namespace berth::api::wire
