// SPDX-License-Identifier: Apache-2.0
// The distance and the limit of
// https://github.com/moby/buildkit/blob/master/util/suggest/error.go.
#include "build/suggestion.h"

#include "base/strings.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace berth::build {

namespace {

constexpr std::size_t edit_limit = 2;

// Levenshtein's: inserted, removed and replaced characters, a row of the table at a time.
std::size_t edit_distance(std::string_view from, std::string_view to) {
    std::vector<std::size_t> row(to.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 0; i < from.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < to.size(); ++j) {
            const std::size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({row[j + 1] + 1, row[j] + 1, replaced});
        }
    }
    return row.back();
}

} // namespace

std::string suggestion(std::string_view given, std::span<const std::string_view> known) {
    const std::string lower = to_lower(given);
    std::string best;
    std::size_t least = edit_limit + 1;
    for (const std::string_view name : known) {
        // Longer names cannot be near, and are as long as a stranger likes.
        if (given.size() > name.size() + edit_limit) {
            continue;
        }
        const std::string candidate = to_lower(name);
        if (const std::size_t distance = edit_distance(lower, candidate); distance < least) {
            least = distance;
            best = candidate;
        }
    }
    if (best.empty()) {
        return "";
    }
    return " (did you mean " + (given == to_upper(given) ? to_upper(best) : best) + "?)";
}

} // namespace berth::build
