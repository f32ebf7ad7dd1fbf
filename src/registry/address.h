// SPDX-License-Identifier: Apache-2.0
// Where a registry's API is, and how much its transport is trusted.
#pragma once

#include "registry/transport.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

// One way to reach a registry, best first.
struct ApiBase {
    std::string url; // "https://registry-1.docker.io", no slash at the end
    VerifyTls verify = VerifyTls::Yes;
    bool whole_path = false; // url is the API's root: no "/v2" behind it
    std::shared_ptr<const TlsMaterial> tls;
    http::Headers headers;    // sent with each request to this host
    std::string namespace_of; // the registry that a mirror shall answer for; "": not said

    std::string api() const { return whole_path ? url : url + "/v2"; }
};

// "docker.io" -> "registry-1.docker.io"; others are themselves.
std::string api_host(std::string_view registry);

// localhost, 127.0.0.0/8, ::1, and what `insecure` names ("host:port", "host", CIDR).
bool is_insecure(std::string_view registry, std::span<const std::string> insecure);

// https, and for insecure registries https without verification and then http.
std::vector<ApiBase> api_bases(std::string_view registry, std::span<const std::string> insecure);

// What a secret belongs to: "https://host:port" of a URL, in lower case and with its port. "" for
// what has none, or a user's name in it.
std::string origin_of(std::string_view url);

} // namespace berth::registry
