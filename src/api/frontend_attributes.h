// SPDX-License-Identifier: Apache-2.0
// The options of BuildKit's Dockerfile frontend ("build-arg:A", "target", …) as a build's request.
#pragma once

#include "base/result.h"
#include "build/builder.h"

#include <map>
#include <string>

namespace berth::api {

using FrontendAttributes = std::map<std::string, std::string>;

// NotImplemented, by the command line's name of it, for what would silently build something else
// than was asked for.
Result<build::BuildRequest> parse_frontend_attributes(const FrontendAttributes& attributes);

} // namespace berth::api
