// SPDX-License-Identifier: Apache-2.0
// The query parameter "platform" of image endpoints, an OCI platform as JSON.
#pragma once

#include "api/context.h"

#include <string>
#include <vector>

namespace berth::api {

// "linux/arm64/v8"; "" when it is absent, or the client's version is before 1.`minor`.
Result<std::string> platform_parameter(const Context& context, int minor);

// The same where several may be given: the parameter again and again, or one with a JSON list of
// platforms, or of texts with a platform each.
Result<std::vector<std::string>>
platform_parameters(const Context& context, const std::string& name, int minor);

} // namespace berth::api
