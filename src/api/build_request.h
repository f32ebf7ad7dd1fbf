// SPDX-License-Identifier: Apache-2.0
// POST /build: its query as a build::BuildRequest.
#pragma once

#include "api/context.h"
#include "build/builder.h"

#include <string_view>

namespace berth::api {

// The remote of a build whose archive comes in a request of its own, and, with ":ID", the id of
// that.
inline constexpr std::string_view upload_request = "upload-request";

// InvalidArgument for values that cannot be read; NotImplemented, by name, for what the builder
// here does not do (remote contexts, outputs, security options).
Result<build::BuildRequest> parse_build_request(const Context& context);

} // namespace berth::api
