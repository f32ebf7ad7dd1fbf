// SPDX-License-Identifier: Apache-2.0
// The query parameter "platform" of image endpoints, an OCI platform as JSON.
#pragma once

#include "api/context.h"

#include <string>

namespace berth::api {

// "linux/arm64/v8"; "" when it is absent, or the client's version is before 1.`minor`.
Result<std::string> platform_parameter(const Context& context, int minor);

} // namespace berth::api
