// SPDX-License-Identifier: Apache-2.0
// After moby's pkg/authorization/plugin.go and api.go. Anything but a plain "Allow": true refuses.
#include "engine/authorization_plugin.h"

#include "base/log.h"
#include "base/strings.h"
#include "codec/json.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace berth::engine {
namespace {

constexpr std::size_t authorization_answer_limit = 1U << 20;

std::string words_of_plugin(std::string_view text) {
    return std::string(text.substr(0, plugin_words_limit));
}

} // namespace

AuthorizationPlugin::AuthorizationPlugin(std::string name, Options options)
    : name_(std::move(name))
    , options_(std::move(options)) {}

Result<std::string>
AuthorizationPlugin::call(http::Client& client, std::string_view method, std::string body) const {
    auto response = TRY(client.request(
        {.method = "POST",
         .target = "/" + std::string(method),
         .headers = {{"Accept", plugin_media_type}, {"Content-Type", plugin_media_type}},
         .body = std::move(body),
         .answer_time = options_.answer_time}));
    std::string text = TRY(response.read_body(authorization_answer_limit));
    if (response.status != 200) {
        return internal_error(std::string(method) + ": " + words_of_plugin(trim(text)));
    }
    return text;
}

Result<AuthorizationPlugin::ClientPtr> AuthorizationPlugin::find() {
    if (ClientPtr known = *active_.lock()) {
        return known;
    }
    auto client = std::make_shared<http::Client>(TRY(find_plugin(options_.places, name_)));
    const std::string text = TRY(call(*client, "Plugin.Activate", ""));
    const json::Value answer = TRY_CONTEXT(json::parse(text), "answer of plugin " + name_);
    const json::Value* implements = json::find(answer, "Implements");
    const bool is_authorization =
        implements != nullptr && implements->is_array() &&
        std::ranges::any_of(implements->get_array(), [](const json::Value& what) {
            return what.is_string() && what.get_string() == "authz";
        });
    if (!is_authorization) {
        return invalid_argument("plugin \"" + name_ + "\" does not implement \"authz\"");
    }
    *active_.lock() = client;
    return client;
}

Result<void> AuthorizationPlugin::check() {
    TRY(find());
    return ok();
}

Result<std::string>
AuthorizationPlugin::call_patiently(std::string_view method, const std::string& body) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point deadline = Clock::now() + options_.patience;
    std::chrono::milliseconds wait{50};
    while (true) {
        auto client = find();
        auto text = client.ok() ? call(**client, method, body)
                                : Result<std::string>(std::move(client).error());
        if (text.ok()) {
            return text;
        }
        switch (text.error().kind()) {
        case ErrorKind::Unavailable: // it is not there, or has gone in the middle
        case ErrorKind::Forbidden:
        case ErrorKind::NotFound:
        case ErrorKind::DataLoss:
        case ErrorKind::Cancelled:
            break;
        case ErrorKind::InvalidArgument:
        case ErrorKind::Unauthorized:
        case ErrorKind::Conflict:
        case ErrorKind::NotModified:
        case ErrorKind::NotImplemented:
        case ErrorKind::ResourceExhausted:
        case ErrorKind::DeadlineExceeded:
        case ErrorKind::Internal:
            return text;
        }
        *active_.lock() = nullptr;
        if (Clock::now() + wait >= deadline) {
            return text;
        }
        log::debug(
            "authorization plugin cannot be asked, retrying",
            {{"plugin", name_}, {"error", text.error().message()}});
        std::this_thread::sleep_for(wait);
        wait *= 2;
    }
}

Result<AuthorizationPlugin::Verdict>
AuthorizationPlugin::ask(std::string_view method, const std::string& document) {
    const std::string text = TRY(call_patiently(method, document));
    const json::Value answer = TRY_CONTEXT(json::parse(text), "its answer");
    const std::string_view problem = json::find_string(answer, "Err");
    if (!problem.empty()) {
        return internal_error(words_of_plugin(problem));
    }
    const json::Value* allow = json::find(answer, "Allow");
    return Verdict{
        .allow = allow != nullptr && allow->is_bool() && allow->get_bool(),
        .message = words_of_plugin(json::find_string(answer, "Msg"))};
}

} // namespace berth::engine
