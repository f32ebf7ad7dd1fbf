// SPDX-License-Identifier: Apache-2.0
// libcurl would read the environment itself, but for HTTP_PROXY; and Go never sends loopback
// traffic to a proxy.
#include "registry/proxy.h"

#include "base/strings.h"

#include <cstdlib>

namespace berth::registry {

std::string proxy_variable(const std::string& name) {
    for (const std::string& spelling : {name, to_lower(name)}) {
        if (const char* value = std::getenv(spelling.c_str()); value != nullptr && *value != 0) {
            return value;
        }
    }
    return {};
}

Proxy proxy_for(std::string_view url) {
    Proxy proxy{.url = proxy_variable(url.starts_with("https:") ? "HTTPS_PROXY" : "HTTP_PROXY")};
    if (proxy.url.empty()) {
        return proxy;
    }
    std::string configured = proxy_variable("NO_PROXY");
    if (trim(configured) == "*") {
        return {};
    }
    proxy.exceptions = "localhost,127.0.0.0/8,::1" + (configured.empty() ? "" : "," + configured);
    return proxy;
}

} // namespace berth::registry
