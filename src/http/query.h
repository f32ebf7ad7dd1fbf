// SPDX-License-Identifier: Apache-2.0
// The part of a target behind '?', read as Go's url.ParseQuery and dockerd's httputils do.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::http {

enum class PlusIsSpace : bool { No, Yes };

// InvalidArgument for a '%' without two hexadecimal digits.
Result<std::string> percent_decode(std::string_view text, PlusIsSpace plus = PlusIsSpace::No);
// Everything but RFC 3986's unreserved characters becomes %XX.
std::string percent_encode(std::string_view text);

class Query {
  public:
    Query() = default;
    static Result<Query> parse(std::string_view text);

    // The first value of that name, or "" when there is none.
    std::string_view get(std::string_view name) const;
    std::optional<std::string_view> find(std::string_view name) const;
    std::vector<std::string_view> get_all(std::string_view name) const;

    bool contains(std::string_view name) const { return find(name).has_value(); }

    // dockerd's BoolValue: absent, "", "0", "no", "false" and "none" are false, all else is true.
    bool flag(std::string_view name) const;
    bool flag_or(std::string_view name, bool fallback) const;
    // dockerd's Int64ValueOrZero: what is no number is 0.
    std::int64_t number_or_zero(std::string_view name) const;

    void add(std::string name, std::string value);

    bool empty() const { return values_.empty(); }

    auto begin() const { return values_.begin(); }

    auto end() const { return values_.end(); }

    // "a=1&b=x%20y", without '?'.
    std::string to_string() const;

  private:
    std::vector<std::pair<std::string, std::string>> values_;
};

} // namespace berth::http
