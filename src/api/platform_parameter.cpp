// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/moby/blob/v28.2.2/api/server/httputils/form.go (DecodePlatform)
#include "api/platform_parameter.h"

#include "oci/platform.h"

namespace berth::api {

namespace {

Error bad_platform(Error why) {
    return std::move(why).with_context("failed to parse platform").as(ErrorKind::InvalidArgument);
}

Result<std::string> to_text(const json::Value& document) {
    auto platform = json::decode<oci::Platform>(document);
    if (!platform.ok()) {
        return bad_platform(std::move(platform).error());
    }
    if (platform->os.empty()) {
        return invalid_argument("both OS and Architecture must be provided");
    }
    return platform->to_string();
}

Result<json::Value> parse(std::string_view text) {
    auto document = json::parse(text);
    return document.ok() ? std::move(document)
                         : Result<json::Value>(bad_platform(std::move(document).error()));
}

} // namespace

Result<std::string> platform_parameter(const Context& context, int minor) {
    const std::string text = context.query("platform");
    if (text.empty() || context.before(minor)) {
        return std::string();
    }
    return to_text(TRY(parse(text)));
}

Result<std::vector<std::string>>
platform_parameters(const Context& context, const std::string& name, int minor) {
    std::vector<std::string> platforms;
    if (context.before(minor)) {
        return platforms;
    }
    for (const std::string_view text : context.request().query.get_all(name)) {
        if (text.empty()) {
            continue;
        }
        json::Value document = TRY(parse(text));
        if (!document.is_array()) {
            platforms.push_back(TRY(to_text(document)));
            continue;
        }
        for (const json::Value& element : document.get_array()) {
            const json::Value platform =
                element.is_string() ? TRY(parse(element.get_string())) : element;
            platforms.push_back(TRY(to_text(platform)));
        }
    }
    return platforms;
}

} // namespace berth::api
