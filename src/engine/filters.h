// SPDX-License-Identifier: Apache-2.0
// Docker's filters: key -> accepted values, {"label": ["a=b"], "status": ["running"]}. Values of
// one key are alternatives (labels: all must match), keys are conditions that must all hold.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

class Filters {
  public:
    Filters() = default;

    explicit Filters(std::map<std::string, std::vector<std::string>> values)
        : values_(std::move(values)) {}

    void add(std::string key, std::string value);

    bool empty() const { return values_.empty(); }

    bool contains(std::string_view key) const;

    // Empty when the key is absent.
    const std::vector<std::string>& get(std::string_view key) const;

    // InvalidArgument "invalid filter 'x'" for a key that is not in names.
    Result<void> allow_only(std::initializer_list<std::string_view> names) const;

    // True when the key is absent or one of its values equals text.
    bool exact_match(std::string_view key, std::string_view text) const;

    // True when the key is absent or one of its values is a prefix of text.
    bool prefix_match(std::string_view key, std::string_view text) const;

    // True when the key is absent or every "name" or "name=value" is in labels.
    bool match_labels(std::string_view key, const StringMap& labels) const;

    // A boolean key ("dangling", "all"): fallback when absent; InvalidArgument
    // "invalid filter 'dangling=x'" for anything but 1, true, 0, false.
    Result<bool> get_bool(std::string_view key, bool fallback) const;

  private:
    std::map<std::string, std::vector<std::string>> values_;
};

} // namespace berth::engine
