// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/moby/blob/v28.2.2/api/server/httputils/form.go (DecodePlatform)
#include "api/platform_parameter.h"

#include "oci/platform.h"

namespace berth::api {

Result<std::string> platform_parameter(const Context& context, int minor) {
    const std::string text = context.query("platform");
    if (text.empty() || context.before(minor)) {
        return std::string();
    }
    auto platform = json::decode_text<oci::Platform>(text);
    if (!platform.ok()) {
        return std::move(platform)
            .error()
            .with_context("failed to parse platform")
            .as(ErrorKind::InvalidArgument);
    }
    if (platform->os.empty()) {
        return invalid_argument("both OS and Architecture must be provided");
    }
    return platform->to_string();
}

} // namespace berth::api
