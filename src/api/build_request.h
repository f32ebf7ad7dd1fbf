// SPDX-License-Identifier: Apache-2.0
// POST /build: its query as a build::BuildRequest.
#pragma once

#include "api/context.h"
#include "build/builder.h"

namespace berth::api {

// InvalidArgument for values that cannot be read; NotImplemented, by name, for what the builder
// here does not do (remote contexts, outputs, security options).
Result<build::BuildRequest> parse_build_request(const Context& context);

} // namespace berth::api
