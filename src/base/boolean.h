// SPDX-License-Identifier: Apache-2.0
// Booleans as text, in the forms that users of Go's programs write.
#pragma once

#include <optional>
#include <string_view>

namespace berth {

// Go's strconv.ParseBool; nullopt for what is none.
constexpr std::optional<bool> parse_boolean(std::string_view text) {
    for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
        if (text == yes) {
            return true;
        }
    }
    for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
        if (text == no) {
            return false;
        }
    }
    return std::nullopt;
}

} // namespace berth
