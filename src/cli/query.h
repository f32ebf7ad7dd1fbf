// SPDX-License-Identifier: Apache-2.0
// Builds the query part of a request target.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

// Everything but unreserved characters as %XX (RFC 3986, section 2.3).
std::string percent_encode(std::string_view text);

class Query {
  public:
    void add(std::string_view name, std::string_view value);

    void add(std::string_view name, bool value) { add(name, value ? "1" : "0"); }

    // A string literal would rather become a bool than a string_view.
    void add(std::string_view name, const char* value) { add(name, std::string_view(value)); }

    // "?a=b&c=d", or "" when nothing was added.
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

// --platform ("linux/arm64") as the parameter "platform"; nothing for "".
Result<void> add_platform(Query& query, const std::string& text);
// The same for each that was given, with commas or again and again, as the parameter `name`.
Result<void>
add_platforms(Query& query, std::string_view name, const std::vector<std::string>& texts);

} // namespace berth::cli
