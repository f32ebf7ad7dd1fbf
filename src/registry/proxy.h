// SPDX-License-Identifier: Apache-2.0
// The proxy for a request, as Go's programs find it in the environment: HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY or their lower-case names. berthd sets these from its configuration.
#pragma once

#include <string>
#include <string_view>

namespace berth::registry {

struct Proxy {
    std::string url;        // "": none
    std::string exceptions; // host names, domains and CIDR blocks, separated by commas
};

Proxy proxy_for(std::string_view url);

// "HTTP_PROXY" or, where that is not set, "http_proxy"; "" without both.
std::string proxy_variable(const std::string& name);

} // namespace berth::registry
