// SPDX-License-Identifier: Apache-2.0
// Where a registry's API is, and how much its transport is trusted.
#pragma once

#include "registry/transport.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

// One way to reach a registry, best first.
struct ApiBase {
    std::string url; // "https://registry-1.docker.io", no slash at the end
    VerifyTls verify = VerifyTls::Yes;
};

// localhost, 127.0.0.0/8, ::1, and what `insecure` names ("host:port", "host", CIDR).
bool is_insecure(std::string_view registry, std::span<const std::string> insecure);

// https, and for insecure registries https without verification and then http.
std::vector<ApiBase> api_bases(std::string_view registry, std::span<const std::string> insecure);

} // namespace berth::registry
