// SPDX-License-Identifier: Apache-2.0
// Matching of filters, after moby's api/types/filters.
#include "engine/filters.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::engine {

void Filters::add(std::string key, std::string value) {
    values_[std::move(key)].push_back(std::move(value));
}

bool Filters::contains(std::string_view key) const {
    return values_.contains(std::string(key));
}

const std::vector<std::string>& Filters::get(std::string_view key) const {
    static const std::vector<std::string> none;
    auto found = values_.find(std::string(key));
    return found == values_.end() ? none : found->second;
}

Result<void> Filters::allow_only(std::initializer_list<std::string_view> names) const {
    for (const auto& [key, values] : values_) {
        if (std::ranges::find(names, key) == names.end()) {
            return invalid_argument("invalid filter '" + key + "'");
        }
    }
    return ok();
}

bool Filters::exact_match(std::string_view key, std::string_view text) const {
    return !contains(key) || std::ranges::find(get(key), text) != get(key).end();
}

bool Filters::prefix_match(std::string_view key, std::string_view text) const {
    return !contains(key) || std::ranges::any_of(get(key), [text](const std::string& value) {
        return text.starts_with(value);
    });
}

bool Filters::match_labels(std::string_view key, const StringMap& labels) const {
    return std::ranges::all_of(get(key), [&labels](const std::string& wanted) {
        auto parts = cut(wanted, "=");
        auto label = labels.find(parts ? std::string(parts->before) : wanted);
        return label != labels.end() && (!parts || label->second == parts->after);
    });
}

Result<bool> Filters::get_bool(std::string_view key, bool fallback) const {
    const std::vector<std::string>& values = get(key);
    if (values.empty()) {
        return fallback;
    }
    const bool yes = values.front() == "1" || values.front() == "true";
    const bool no = values.front() == "0" || values.front() == "false";
    if (values.size() != 1 || yes == no) {
        return invalid_argument(
            "invalid filter '" + std::string(key) + "=[" + join(values, " ") + "]'");
    }
    return yes;
}

} // namespace berth::engine
