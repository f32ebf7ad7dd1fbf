// SPDX-License-Identifier: Apache-2.0
// What a registry wants to be told: the WWW-Authenticate header, read (RFC 9110, 11.6.1).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::registry {

struct Challenge {
    std::string scheme;                                          // lower case: "bearer", "basic"
    std::vector<std::pair<std::string, std::string>> parameters; // names in lower case

    std::string_view get(std::string_view name) const;
};

// Several challenges may stand in one header. What is malformed is left out.
std::vector<Challenge> parse_challenges(std::string_view header);

} // namespace berth::registry
