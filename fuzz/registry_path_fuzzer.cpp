// SPDX-License-Identifier: Apache-2.0
// Paths of requests to the registry: a name that is accepted must stay inside the registry's tree.
#include "base/verify.h"
#include "registry/server/route.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view path(reinterpret_cast<const char*>(data), size);
    auto route = berth::registry::parse_route(path);
    if (route && berth::registry::is_repository_name(route->repository)) {
        VERIFY(route->repository.find("..") == std::string::npos);
        VERIFY(route->repository.find('\0') == std::string::npos);
        VERIFY(route->repository.front() != '/');
    }
    return 0;
}
