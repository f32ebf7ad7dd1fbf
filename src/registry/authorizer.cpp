// SPDX-License-Identifier: Apache-2.0
// A token server that gives an anonymous token for a private repository is no error here: the
// registry then says what is denied.
#include "registry/authorizer.h"

#include "base/strings.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "http/query.h"
#include "registry/api_error.h"

#include <algorithm>

namespace berth::registry {

namespace {

constexpr std::chrono::seconds default_lifetime{60}; // the specification's
constexpr std::chrono::seconds safety_margin{5};
constexpr std::string_view client_id = "berth";

const Challenge* find(const std::vector<Challenge>& challenges, std::string_view scheme) {
    for (const Challenge& challenge : challenges) {
        if (challenge.scheme == scheme) {
            return &challenge;
        }
    }
    return nullptr;
}

bool is_url(std::string_view text) {
    return text.starts_with("https://") || text.starts_with("http://");
}

// A registry names its token server, and may name one on another host; but a secret that came by
// TLS does not go on without it.
Result<void> check_realm(std::string_view realm, const ApiBase& host) {
    if (!is_url(realm)) {
        return invalid_argument(
            "the registry's token server \"" + std::string(realm) + "\" is no URL");
    }
    if (realm.starts_with("http://") && host.url.starts_with("https://") &&
        host.verify == VerifyTls::Yes) {
        return Error(
            ErrorKind::Unauthorized,
            host.url + " names a token server without TLS, \"" + std::string(realm) +
                "\": refusing to send credentials there");
    }
    return ok();
}

} // namespace

void Authorizer::set_challenges(std::vector<Challenge> challenges, const ApiBase& host) {
    auto guard = state_.lock();
    guard->challenges = std::move(challenges);
    guard->host = host;
}

bool Authorizer::has_challenges() const {
    return !state_.lock()->challenges.empty();
}

void Authorizer::forget_tokens() {
    state_.lock()->tokens.clear();
}

std::string Authorizer::basic() const {
    if (credentials_.username.empty()) {
        return {};
    }
    return "Basic " + base64_encode(credentials_.username + ":" + credentials_.password);
}

std::optional<std::string> Authorizer::known_header(const std::string& scope, Question& question) {
    if (!credentials_.registry_token.empty()) {
        return "Bearer " + credentials_.registry_token;
    }
    auto guard = state_.lock();
    for (const Token& token : guard->tokens) {
        if (token.scope == scope && Clock::now() < token.expires) {
            return "Bearer " + token.text;
        }
    }
    const Challenge* found = find(guard->challenges, "bearer");
    if (found == nullptr) {
        bool wants_basic = find(guard->challenges, "basic") != nullptr;
        return wants_basic ? basic() : std::string();
    }
    question = {.bearer = *found, .host = guard->host};
    return std::nullopt;
}

Result<std::string> Authorizer::header(std::stop_token stop, const std::string& scope) {
    Question question;
    if (auto known = known_header(scope, question)) {
        return std::move(*known);
    }
    std::lock_guard one_at_a_time(fetching_);
    if (auto known = known_header(scope, question)) { // somebody asked meanwhile
        return std::move(*known);
    }
    Grant grant = TRY(fetch(stop, question.bearer, scope, question.host));
    auto guard = state_.lock();
    std::erase_if(guard->tokens, [&](const Token& token) { return token.scope == scope; });
    guard->tokens.push_back({scope, grant.token, Clock::now() + grant.lifetime});
    return "Bearer " + grant.token;
}

Result<std::string> Authorizer::login(std::stop_token stop) {
    Challenge bearer;
    ApiBase host;
    {
        auto guard = state_.lock();
        const Challenge* found = find(guard->challenges, "bearer");
        if (found == nullptr) {
            return std::string();
        }
        bearer = *found;
        host = guard->host;
    }
    return TRY(fetch(stop, bearer, "", host)).refresh_token;
}

Outgoing Authorizer::token_request(const Challenge& challenge, const std::string& scope) const {
    http::Query query;
    if (!credentials_.username.empty()) {
        query.add("account", credentials_.username);
        if (scope.empty()) {
            query.add("client_id", std::string(client_id));
            query.add("offline_token", "true");
        }
    }
    if (!challenge.get("service").empty()) {
        query.add("service", std::string(challenge.get("service")));
    }
    for (std::string_view one : words(scope)) {
        query.add("scope", std::string(one));
    }
    std::string realm(challenge.get("realm"));
    char separator = realm.find('?') == std::string::npos ? '?' : '&';
    Outgoing request{.url = realm + separator + query.to_string()};
    if (std::string header = basic(); !header.empty()) {
        request.headers.add("Authorization", std::move(header));
    }
    return request;
}

// https://distribution.github.io/distribution/spec/auth/oauth/
Outgoing Authorizer::refresh_request(const Challenge& challenge, const std::string& scope) const {
    http::Query form;
    form.add("grant_type", "refresh_token");
    form.add("refresh_token", credentials_.identity_token);
    form.add("service", std::string(challenge.get("service")));
    form.add("client_id", std::string(client_id));
    if (!scope.empty()) {
        form.add("scope", scope);
    }
    return Outgoing{
        .method = "POST",
        .url = std::string(challenge.get("realm")),
        .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
        .body = form.to_string()};
}

Result<Authorizer::Grant> Authorizer::fetch(
    const std::stop_token& stop,
    const Challenge& challenge,
    const std::string& scope,
    const ApiBase& host) {
    TRY(check_realm(challenge.get("realm"), host));
    Outgoing request = credentials_.identity_token.empty() ? token_request(challenge, scope)
                                                           : refresh_request(challenge, scope);
    request.verify = host.verify;
    request.tls = host.tls;
    auto exchange = TRY(transport_.send(stop, request));
    std::string body = TRY(exchange->read_body());
    if (exchange->status() != 200) {
        ApiError error = parse_api_error(exchange->status(), body);
        return error.to_error();
    }
    json::Value document = TRY_CONTEXT(json::parse(body), "token server");
    Grant grant{
        .token = std::string(json::find_string(document, "token")),
        .refresh_token = std::string(json::find_string(document, "refresh_token")),
        .lifetime = default_lifetime};
    if (grant.token.empty()) {
        grant.token = std::string(json::find_string(document, "access_token"));
    }
    if (grant.token.empty()) {
        return Error(ErrorKind::Unauthorized, "authorization server did not include a token");
    }
    if (const json::Value* seconds = json::find(document, "expires_in");
        seconds != nullptr && seconds->is_int64()) {
        grant.lifetime = std::chrono::seconds(
            std::clamp<std::int64_t>(seconds->get_int64(), default_lifetime.count(), 86'400));
    }
    grant.lifetime -= safety_margin;
    return grant;
}

} // namespace berth::registry
