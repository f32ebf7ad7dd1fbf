// SPDX-License-Identifier: Apache-2.0
// What is searched for in a registry's index, and what is found.
#pragma once

#include "base/result.h"
#include "engine/filters.h"

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::engine {

struct DaemonConfig;
struct RegistryCredentials;

struct ImageSearch {
    std::string term; // a repository, or registry/repository
    int limit = 0;    // 0: 25
    Filters filters;  // is-official, stars, and is-automated, which nothing is any more
};

struct ImageSearchResult {
    std::string name;
    std::string description;
    std::int64_t star_count = 0;
    bool is_official = false;
};

// What Docker Hub, or the registry that the term names, has of that name.
Result<std::vector<ImageSearchResult>> search_images(
    std::stop_token stop,
    const DaemonConfig& config,
    const ImageSearch& search,
    const RegistryCredentials& credentials);

} // namespace berth::engine
