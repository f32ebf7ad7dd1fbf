// SPDX-License-Identifier: Apache-2.0
// Reading the header Accept.
#include "api/content_type.h"

#include "base/strings.h"

#include <algorithm>
#include <charconv>

namespace berth::api {

namespace {

struct Wish {
    std::string_view range; // "text/plain", "text/*", "*/*"
    double quality = 1;
};

Wish parse_wish(std::string_view text) {
    const auto parts = split(text, ';');
    Wish wish{.range = trim(parts[0])};
    for (const std::string_view part : parts) {
        const std::string_view parameter = trim(part);
        if (parameter.starts_with("q=")) {
            const char* end = parameter.data() + parameter.size();
            if (std::from_chars(parameter.data() + 2, end, wish.quality).ec != std::errc()) {
                wish.quality = 0;
            }
        }
    }
    return wish;
}

// How exactly the range names the type: 3, 2 or 1; 0: not at all.
int exactness(std::string_view range, std::string_view type) {
    if (equals_ignoring_case(range, type)) {
        return 3;
    }
    if (range == "*/*") {
        return 1;
    }
    const bool is_family =
        range.ends_with("/*") && type.starts_with(range.substr(0, range.size() - 1));
    return is_family ? 2 : 0;
}

} // namespace

std::string_view negotiate_content_type(
    std::string_view accept, std::span<const std::string_view> offers, std::string_view fallback) {
    std::string_view best = fallback;
    double best_quality = 0;
    int best_exactness = 0;
    for (const std::string_view offer : offers) {
        for (const std::string_view text : split(accept, ',')) {
            const Wish wish = parse_wish(text);
            const int exact = exactness(wish.range, offer);
            const bool is_better = wish.quality > best_quality ||
                                   (wish.quality == best_quality && exact > best_exactness);
            if (exact > 0 && wish.quality > 0 && is_better) {
                best = offer;
                best_quality = wish.quality;
                best_exactness = exact;
            }
        }
    }
    return best;
}

} // namespace berth::api
