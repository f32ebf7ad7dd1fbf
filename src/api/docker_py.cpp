// SPDX-License-Identifier: Apache-2.0
// Its name, and what it sends under other names.
#include "api/docker_py.h"

namespace berth::api {

bool is_docker_py(const http::Request& request) {
    const std::string_view agent = request.headers.get("User-Agent");
    if (agent.starts_with("docker-sdk-python/") || agent.starts_with("docker-py/")) {
        return true;
    }
    return request.headers.get("Accept") == "*/*" &&
           request.headers.get("Accept-Encoding").starts_with("gzip, deflate");
}

} // namespace berth::api
