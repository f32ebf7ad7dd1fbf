// SPDX-License-Identifier: Apache-2.0
// docker search, after moby's daemon/pkg/registry/search.go.
#include "engine/image_search.h"

#include "base/strings.h"
#include "engine/daemon_config.h"
#include "engine/images_parts.h"
#include "registry/search.h"

#include <algorithm>
#include <utility>

namespace berth::engine {

namespace {

constexpr int default_limit = 25;
constexpr int greatest_limit = 100;

// What a result must have.
struct Conditions {
    bool none = false; // nothing has it
    std::optional<bool> official;
    std::int64_t stars = 0;
};

Result<Conditions> read_conditions(const Filters& filters) {
    TRY(filters.allow_only({"is-automated", "is-official", "stars"}));
    Conditions conditions;
    conditions.none = TRY(filters.get_bool("is-automated", false));
    if (filters.contains("is-official")) {
        conditions.official = TRY(filters.get_bool("is-official", false));
    }
    for (const std::string& text : filters.get("stars")) {
        const auto stars = parse_number<std::int64_t>(text);
        if (!stars.ok()) {
            return invalid_argument("invalid filter 'stars=" + text + "'");
        }
        conditions.stars = std::max(conditions.stars, *stars);
    }
    return conditions;
}

// "registry.example:5000/name" names an index; all else is a repository of Docker Hub's.
registry::SearchRequest read_term(const std::string& term) {
    const auto parts = cut(term, "/");
    const std::string_view host = parts ? parts->before : std::string_view();
    const bool names_registry =
        host.find_first_of(".:") != std::string_view::npos || host == "localhost";
    if (names_registry && host != "docker.io" && host != "index.docker.io") {
        return {.registry = std::string(host), .term = std::string(parts->after)};
    }
    std::string_view rest = names_registry ? parts->after : std::string_view(term);
    if (rest.starts_with("library/")) { // as which Docker Hub knows "alpine"
        rest.remove_prefix(std::string_view("library/").size());
    }
    return {.registry = "docker.io", .term = std::string(rest)};
}

} // namespace

Result<std::vector<ImageSearchResult>> search_images(
    std::stop_token stop,
    const DaemonConfig& config,
    const ImageSearch& search,
    const RegistryCredentials& credentials) {
    const Conditions conditions = TRY(read_conditions(search.filters));
    std::vector<ImageSearchResult> results;
    if (conditions.none) {
        return results;
    }
    if (search.term.find("://") != std::string::npos) {
        return invalid_argument(
            "invalid repository name: repository name (" + search.term +
            ") should not have a scheme");
    }
    registry::SearchRequest request = read_term(search.term);
    request.limit = search.limit == 0 ? default_limit : search.limit;
    if (request.limit < 1 || request.limit > greatest_limit) {
        return invalid_argument(
            "limit " + std::to_string(request.limit) + " is outside the range of [1, 100]");
    }
    ImagesOptions options;
    options.insecure_registries = config.insecure_registries;
    for (registry::SearchResult& found :
         TRY(registry::search(std::move(stop), request, client_options(options, credentials)))) {
        const bool is_wanted = conditions.official.value_or(found.is_official) == found.is_official;
        if (is_wanted && found.star_count >= conditions.stars) {
            results.push_back(
                {.name = std::move(found.name),
                 .description = std::move(found.description),
                 .star_count = found.star_count,
                 .is_official = found.is_official});
        }
    }
    return results;
}

} // namespace berth::engine
