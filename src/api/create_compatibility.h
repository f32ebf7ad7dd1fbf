// SPDX-License-Identifier: Apache-2.0
// What older API versions mean by a container's configuration, turned into what today's mean.
#pragma once

#include "api/api_version.h"
#include "base/result.h"
#include "engine/containers.h"

#include <string>
#include <vector>

namespace berth::api {

// Rewrites the request; the warnings go into the answer.
Result<std::vector<std::string>>
adapt_to_version(engine::CreateRequest& request, ApiVersion version);

} // namespace berth::api
