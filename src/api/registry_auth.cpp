// SPDX-License-Identifier: Apache-2.0
// Credentials in headers: X-Registry-Auth and X-Registry-Config.
#include "api/registry_auth.h"

#include "api/context.h"
#include "base/strings.h"
#include "codec/base64.h"

namespace berth::api {

namespace {

struct AuthConfig {
    std::string username;
    std::string password;
    std::string auth; // base64 of "user:password"
    std::string server_address;
    std::string identity_token;
    std::string registry_token;
};

} // namespace

} // namespace berth::api

namespace berth::json {

template <>
struct Fields<api::AuthConfig> {
    using T = api::AuthConfig;
    static constexpr auto table = std::tuple{
        field("username", &T::username),
        field("password", &T::password),
        field("auth", &T::auth),
        field("serveraddress", &T::server_address),
        field("identitytoken", &T::identity_token),
        field("registrytoken", &T::registry_token)};
};

} // namespace berth::json

namespace berth::api {

namespace {

Result<json::Value> decode_header(std::string_view header) {
    const std::string text = TRY(base64_decode(header));
    return json::parse(text);
}

} // namespace

Result<engine::RegistryCredentials> decode_credentials(const json::Value& auth_config) {
    const auto decoded = json::decode<AuthConfig>(auth_config);
    if (!decoded.ok()) {
        return Error(decoded.error()).with_context("invalid JSON");
    }
    engine::RegistryCredentials credentials{
        .username = decoded->username,
        .password = decoded->password,
        .server_address = decoded->server_address,
        .identity_token = decoded->identity_token,
        .registry_token = decoded->registry_token,
    };
    if (credentials.username.empty() && !decoded->auth.empty()) {
        auto plain = base64_decode(decoded->auth);
        if (const auto parts = plain.ok() ? cut(*plain, ":") : std::nullopt) {
            credentials.username = std::string(parts->before);
            credentials.password = std::string(parts->after);
        }
    }
    return credentials;
}

engine::RegistryCredentials parse_registry_auth(std::string_view header) {
    if (header.empty()) {
        return {};
    }
    auto document = decode_header(header);
    return document.ok() ? decode_credentials(*document).value_or({})
                         : engine::RegistryCredentials();
}

engine::RegistryCredentials credentials_of(const Context& context) {
    return parse_registry_auth(context.request().headers.get("X-Registry-Auth"));
}

std::map<std::string, engine::RegistryCredentials> parse_registry_config(std::string_view header) {
    std::map<std::string, engine::RegistryCredentials> credentials;
    if (header.empty()) {
        return credentials;
    }
    auto document = decode_header(header);
    if (!document.ok() || !document->is_object()) {
        return credentials;
    }
    for (const auto& member : document->get_object()) {
        credentials[std::string(member.key())] = decode_credentials(member.value()).value_or({});
    }
    return credentials;
}

} // namespace berth::api
