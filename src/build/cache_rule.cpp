// SPDX-License-Identifier: Apache-2.0
// Filters as moby's builder/builder-next/builder.go takes them, sizes as BuildKit weighs them.
#include "build/cache_rule.h"

#include <algorithm>
#include <string_view>

namespace berth::build {

namespace {

Result<bool> truth(const CacheFilter& filter) {
    if (filter.values.empty() || filter.values[0].empty()) {
        return true;
    }
    const std::string& value = filter.values[0];
    if (value == "true" || value == "1") {
        return true;
    }
    if (value == "false" || value == "0") {
        return false;
    }
    return invalid_argument("invalid filter '" + filter.field + "=" + value + "'");
}

bool is_flag(std::string_view field) {
    return field == "inuse" || field == "shared" || field == "private";
}

// A step has no labels, so none has this one and all are without.
bool fits(const CacheRecord& record, const CacheFilter& filter) {
    const auto any = [&filter](auto predicate) {
        return std::any_of(filter.values.begin(), filter.values.end(), predicate);
    };
    if (is_flag(filter.field)) {
        const bool wanted = truth(filter).value_or(true);
        const bool is = filter.field == "inuse"    ? record.in_use
                        : filter.field == "shared" ? record.shared
                                                   : !record.shared;
        return is == wanted;
    }
    if (filter.field == "id") {
        return any(
            [&](const std::string& value) { return record.id.find(value) != std::string::npos; });
    }
    if (filter.field == "parent") {
        return any([&](const std::string& value) {
            return std::find(record.parents.begin(), record.parents.end(), value) !=
                   record.parents.end();
        });
    }
    if (filter.field == "type") {
        return any([&](const std::string& value) { return record.type == value; });
    }
    if (filter.field == "description") {
        return any([&](const std::string& value) { return record.description == value; });
    }
    return filter.field == "label!";
}

} // namespace

Result<void> check_filters(const std::vector<CacheFilter>& filters) {
    static constexpr std::string_view fields[] = {
        "id", "parent", "type", "description", "inuse", "shared", "private", "label", "label!"};
    for (const CacheFilter& filter : filters) {
        if (std::find(std::begin(fields), std::end(fields), filter.field) == std::end(fields)) {
            return invalid_argument("invalid filter '" + filter.field + "'");
        }
        if (is_flag(filter.field)) {
            TRY(truth(filter));
        }
    }
    return ok();
}

bool matches(const CacheRecord& record, const std::vector<CacheFilter>& filters) {
    return std::all_of(filters.begin(), filters.end(), [&record](const CacheFilter& filter) {
        return fits(record, filter);
    });
}

std::optional<std::uint64_t>
space_to_keep(const CacheRule& rule, std::uint64_t used, std::uint64_t free) {
    if (rule.reserved_space == 0 && rule.max_used_space == 0 && rule.min_free_space == 0) {
        return std::nullopt;
    }
    std::uint64_t keep = rule.max_used_space;
    if (rule.min_free_space > free) {
        const std::uint64_t missing = rule.min_free_space - free;
        const std::uint64_t left = used > missing ? used - missing : 0;
        keep = keep == 0 ? left : std::min(keep, left);
    } else if (rule.min_free_space > 0 && keep == 0) {
        keep = used;
    }
    return std::max(keep, rule.reserved_space);
}

} // namespace berth::build
