// SPDX-License-Identifier: Apache-2.0
// Searching a registry's index: version 1 of Docker's registry API, which Docker Hub still answers
// and few others do.
#pragma once

#include "base/result.h"
#include "registry/client.h"

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::registry {

struct SearchResult {
    std::string name;
    std::string description;
    std::int64_t star_count = 0;
    bool is_official = false;
};

struct SearchRequest {
    std::string registry; // "docker.io", "localhost:5000"
    std::string term;
    int limit = 25;
};

// In the index's order. Unavailable when it cannot be reached, Internal for any answer but 200.
Result<std::vector<SearchResult>>
search(std::stop_token stop, const SearchRequest& request, const ClientOptions& options);

} // namespace berth::registry
