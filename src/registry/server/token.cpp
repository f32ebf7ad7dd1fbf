// SPDX-License-Identifier: Apache-2.0
// Bearer tokens. https://distribution.github.io/distribution/spec/auth/jwt/
#include "base/strings.h"
#include "base/time.h"
#include "registry/server/authenticator.h"
#include "registry/server/jwt.h"

#include <algorithm>

namespace berth::registry {

namespace {

constexpr std::int64_t clock_skew = 60; // seconds

struct Grant {
    std::string type;
    std::string name;
    std::vector<std::string> actions;
};

struct Claims {
    std::string issuer;
    std::string subject;
    double expires = 0;
    double not_before = 0;
    std::vector<Grant> access;
};

} // namespace

} // namespace berth::registry

template <>
struct berth::json::Fields<berth::registry::Grant> {
    using T = registry::Grant;
    static constexpr auto table =
        std::tuple{field("type", &T::type), field("name", &T::name), field("actions", &T::actions)};
};

template <>
struct berth::json::Fields<berth::registry::Claims> {
    using T = registry::Claims;
    static constexpr auto table = std::tuple{
        field("iss", &T::issuer),
        field("sub", &T::subject),
        field("exp", &T::expires),
        field("nbf", &T::not_before),
        field("access", &T::access)};
};

namespace berth::registry {

namespace {

bool has_audience(const json::Value& claims, std::string_view service) {
    const json::Value* audience = json::find(claims, "aud");
    if (audience == nullptr) {
        return false;
    }
    if (audience->is_array()) {
        return std::ranges::any_of(audience->get_array(), [&](const json::Value& entry) {
            return entry.is_string() && std::string_view(entry.get_string()) == service;
        });
    }
    return audience->is_string() && std::string_view(audience->get_string()) == service;
}

bool allows(const Claims& claims, const Access& wanted) {
    return std::ranges::any_of(claims.access, [&](const Grant& grant) {
        return grant.type == wanted.type && grant.name == wanted.name &&
               std::ranges::any_of(grant.actions, [&](const std::string& action) {
                   return action == wanted.action || action == "*";
               });
    });
}

// "repository:a:pull,push registry:catalog:*"
std::string scope_of(std::span<const Access> wanted) {
    std::string scope;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        bool same =
            i > 0 && wanted[i - 1].type == wanted[i].type && wanted[i - 1].name == wanted[i].name;
        if (same) {
            scope += "," + wanted[i].action;
        } else {
            scope += (scope.empty() ? "" : " ") + wanted[i].type + ":" + wanted[i].name + ":" +
                     wanted[i].action;
        }
    }
    return scope;
}

class TokenAuthenticator final : public Authenticator {
  public:
    TokenAuthenticator(TokenOptions options, TrustedKeys keys)
        : options_(std::move(options))
        , keys_(std::move(keys)) {}

    Result<std::optional<Denial>>
    check(const http::Request& request, std::span<const Access> wanted, std::string& user) override;

  private:
    Result<Claims> read(std::string_view token) const;
    Denial refuse(std::span<const Access> wanted, std::string detail, std::string_view error) const;

    const TokenOptions options_;
    const TrustedKeys keys_;
};

Denial TokenAuthenticator::refuse(
    std::span<const Access> wanted, std::string detail, std::string_view error) const {
    std::string challenge =
        "Bearer realm=\"" + options_.realm + "\",service=\"" + options_.service + "\"";
    if (std::string scope = scope_of(wanted); !scope.empty()) {
        challenge += ",scope=\"" + scope + "\"";
    }
    if (!error.empty()) {
        challenge += ",error=\"" + std::string(error) + "\"";
    }
    return {
        .code = ErrorCode::Unauthorized,
        .detail = std::move(detail),
        .challenge = std::move(challenge)};
}

Result<Claims> TokenAuthenticator::read(std::string_view token) const {
    json::Value document = TRY(keys_.verify(token));
    Claims claims = TRY(json::decode<Claims>(document));
    auto wrong = [](std::string_view why) {
        return Error(ErrorKind::Unauthorized, "invalid token: " + std::string(why));
    };
    auto now = static_cast<double>(Timestamp::now().seconds());
    if (claims.issuer != options_.issuer) {
        return wrong("it is from another issuer");
    }
    if (!has_audience(document, options_.service)) {
        return wrong("it is for another service");
    }
    if (now > claims.expires + clock_skew) {
        return wrong("it has expired");
    }
    if (now < claims.not_before - clock_skew) {
        return wrong("it is not valid yet");
    }
    return claims;
}

Result<std::optional<Denial>> TokenAuthenticator::check(
    const http::Request& request, std::span<const Access> wanted, std::string& user) {
    std::string_view header = trim(request.headers.get("Authorization"));
    if (header.size() < 7 || !equals_ignoring_case(header.substr(0, 7), "bearer ")) {
        return std::optional(refuse(wanted, "a token is needed", {}));
    }
    auto claims = read(trim(header.substr(7)));
    if (!claims.ok()) {
        return std::optional(refuse(wanted, claims.error().message(), "invalid_token"));
    }
    for (const Access& access : wanted) {
        if (!allows(*claims, access)) {
            return std::optional(refuse(
                wanted,
                "the token does not allow to " + access.action + " " + access.type + " " +
                    access.name,
                "insufficient_scope"));
        }
    }
    user = std::move(claims->subject);
    return std::optional<Denial>();
}

} // namespace

Result<std::unique_ptr<Authenticator>> make_token_authenticator(const TokenOptions& options) {
    TrustedKeys keys = TRY(TrustedKeys::load(options.root_certificates));
    return std::unique_ptr<Authenticator>(
        std::make_unique<TokenAuthenticator>(options, std::move(keys)));
}

} // namespace berth::registry
