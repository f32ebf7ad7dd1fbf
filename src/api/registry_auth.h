// SPDX-License-Identifier: Apache-2.0
// Credentials in headers: X-Registry-Auth (one registry) and X-Registry-Config (all that a build
// may need), both base64url of JSON.
#pragma once

#include "codec/json.h"
#include "engine/images.h"

#include <map>
#include <string>
#include <string_view>

namespace berth::api {

class Context;

// A header that cannot be read counts as none, as dockerd has it.
engine::RegistryCredentials parse_registry_auth(std::string_view header);
engine::RegistryCredentials credentials_of(const Context& context);

// By registry address.
std::map<std::string, engine::RegistryCredentials> parse_registry_config(std::string_view header);

// InvalidArgument for a member of a wrong type.
Result<engine::RegistryCredentials> decode_credentials(const json::Value& auth_config);

} // namespace berth::api
