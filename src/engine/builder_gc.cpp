// SPDX-License-Identifier: Apache-2.0
// Names match without case, as Go decodes them. A name that is not known is an error: a limit that
// is misspelled would be no limit.
#include "engine/builder_gc.h"

#include "base/strings.h"
#include "engine/daemon_config.h"

#include <algorithm>
#include <functional>

namespace berth::engine {

namespace {

constexpr std::int64_t gigabyte = 1'000'000'000;
constexpr std::chrono::hours temporary_age{48};
constexpr std::chrono::hours unused_age{60 * 24};
constexpr std::int64_t temporary_space = gigabyte / 2;
// Shares of the disk in percent, and bounds for large ones.
constexpr std::int64_t reserved_percent = 10;
constexpr std::int64_t reserved_bound = 10 * gigabyte;
constexpr std::int64_t max_used_percent = 60;
constexpr std::int64_t max_used_bound = 100 * gigabyte;
constexpr std::int64_t min_free_percent = 20;

Error wrong_type(const std::string& key, std::string_view expected) {
    return invalid_argument("the value of \"" + key + "\" must be " + std::string(expected));
}

// "10GB" as Docker's sizes, or a number of bytes.
Result<std::int64_t> parse_size(const std::string& key, const json::Value& value) {
    if (value.is_int64() && value.get_int64() >= 0) {
        return value.get_int64();
    }
    if (!value.is_string()) {
        return wrong_type(key, "a size such as \"10GB\"");
    }
    const std::string_view text = value.get_string();
    return text.empty() ? std::int64_t{0} : TRY_CONTEXT(parse_memory_size(text), key);
}

Result<std::chrono::nanoseconds> parse_age(const std::string& key, std::string_view text) {
    auto age = parse_duration(text);
    if (!age.ok() || age->count() < 0) {
        return invalid_argument(
            key + ": \"" + std::string(text) + "\" is not a duration such as \"48h\"");
    }
    return age;
}

using Member = std::function<Result<void>(const std::string& key, const json::Value& value)>;

// Every member goes to the first name that it has.
Result<void> read_members(
    const std::string& path,
    const json::Value& value,
    const std::vector<std::pair<std::string_view, Member>>& members) {
    if (!value.is_object()) {
        return wrong_type(path, "an object");
    }
    for (const auto& member : value.get_object()) {
        const auto found = std::find_if(members.begin(), members.end(), [&](const auto& known) {
            return equals_ignoring_case(known.first, member.key());
        });
        const std::string key = path + "." + std::string(member.key());
        if (found == members.end()) {
            return invalid_argument("\"" + key + "\" is not a configuration option");
        }
        TRY(found->second(key, member.value()));
    }
    return ok();
}

Member boolean_into(bool& target) {
    return [&target](const std::string& key, const json::Value& value) -> Result<void> {
        if (!value.is_bool()) {
            return wrong_type(key, "true or false");
        }
        target = value.get_bool();
        return ok();
    };
}

Member size_into(std::int64_t& target) {
    return [&target](const std::string& key, const json::Value& value) -> Result<void> {
        target = TRY(parse_size(key, value));
        return ok();
    };
}

// "unused-for=48h", "type=source.local,type=exec.cachemount"; older texts write ==.
Result<void> add_filter(BuilderGcRule& rule, const std::string& key, std::string_view text) {
    static constexpr std::string_view fields[] = {
        "id", "parent", "type", "description", "inuse", "shared", "private"};
    for (const std::string_view term : split(text, ',')) {
        const auto parts = cut(term, "=");
        const std::string field = to_lower(trim(parts ? parts->before : term));
        std::string_view value = parts ? trim(parts->after) : std::string_view();
        if (value.starts_with('=')) {
            value.remove_prefix(1);
        }
        if (field == "unused-for" || field == "until") {
            rule.unused_for = TRY(parse_age(key, value));
            continue;
        }
        if (std::find(std::begin(fields), std::end(fields), field) == std::end(fields)) {
            return invalid_argument(key + ": invalid filter '" + field + "'");
        }
        const bool is_flag = field == "inuse" || field == "shared" || field == "private";
        if (is_flag && !value.empty() && value != "true" && value != "false") {
            return invalid_argument(
                key + ": invalid filter '" + field + "=" + std::string(value) + "'");
        }
        auto known = std::find_if(rule.filters.begin(), rule.filters.end(), [&](const auto& have) {
            return have.first == field;
        });
        if (known == rule.filters.end()) {
            known = rule.filters.insert(known, {field, {}});
        }
        known->second.emplace_back(value);
    }
    return ok();
}

Member filters_into(BuilderGcRule& rule) {
    return [&rule](const std::string& key, const json::Value& value) -> Result<void> {
        if (!value.is_array()) {
            return wrong_type(key, "a list");
        }
        for (const json::Value& element : value.get_array()) {
            if (!element.is_string()) {
                return wrong_type(key, "a list of strings");
            }
            TRY(add_filter(rule, key, element.get_string()));
        }
        return ok();
    };
}

// A string, or a list with one.
Member age_into(std::chrono::nanoseconds& target) {
    return [&target](const std::string& key, const json::Value& value) -> Result<void> {
        const json::Value* text = &value;
        if (value.is_array() && value.get_array().size() == 1) {
            text = &value.get_array()[0];
        }
        if (!text->is_string()) {
            return wrong_type(key, "a duration such as \"48h\"");
        }
        target = TRY(parse_age(key, text->get_string()));
        return ok();
    };
}

Result<BuilderGcRule> parse_rule(const std::string& path, const json::Value& value) {
    BuilderGcRule rule;
    std::int64_t keep = 0;
    TRY(read_members(
        path,
        value,
        {{"all", boolean_into(rule.all)},
         {"filter", filters_into(rule)},
         {"keepDuration", age_into(rule.unused_for)},
         {"keepStorage", size_into(keep)},
         {"reservedSpace", size_into(rule.sizes.reserved_space)},
         {"maxUsedSpace", size_into(rule.sizes.max_used_space)},
         {"minFreeSpace", size_into(rule.sizes.min_free_space)}}));
    if (rule.sizes.reserved_space == 0) {
        rule.sizes.reserved_space = keep; // its older name
    }
    return rule;
}

} // namespace

Result<BuilderGc> parse_builder_gc(const json::Value& value) {
    BuilderGc gc;
    std::int64_t keep = 0;
    const Member policy = [&gc](const std::string& key, const json::Value& list) -> Result<void> {
        if (!list.is_array()) {
            return wrong_type(key, "a list");
        }
        gc.policy.emplace();
        for (const json::Value& rule : list.get_array()) {
            const std::string path = key + "[" + std::to_string(gc.policy->size()) + "]";
            gc.policy->push_back(TRY(parse_rule(path, rule)));
        }
        return ok();
    };
    TRY(read_members(
        "builder.gc",
        value,
        {{"enabled", boolean_into(gc.enabled)},
         {"policy", policy},
         {"defaultKeepStorage", size_into(keep)},
         {"defaultReservedSpace", size_into(gc.defaults.reserved_space)},
         {"defaultMaxUsedSpace", size_into(gc.defaults.max_used_space)},
         {"defaultMinFreeSpace", size_into(gc.defaults.min_free_space)}}));
    // The older name meant a limit, and still does unless there is a newer one.
    if (gc.defaults.reserved_space == 0) {
        gc.defaults.reserved_space = keep;
    }
    if (gc.defaults.max_used_space == 0) {
        gc.defaults.max_used_space = keep;
    }
    if (gc.policy && !gc.defaults.empty()) {
        for (BuilderGcRule& rule : *gc.policy) {
            if (rule.sizes.empty() && rule.unused_for.count() == 0) {
                rule.sizes = gc.defaults;
            }
        }
    }
    return gc;
}

std::vector<BuilderGcRule>
default_builder_gc(const BuilderGcSizes& given, std::int64_t disk_bytes) {
    const auto share = [disk_bytes](std::int64_t percent) { return disk_bytes / 100 * percent; };
    BuilderGcSizes sizes = given;
    if (sizes.reserved_space == 0) {
        sizes.reserved_space = std::min(share(reserved_percent), reserved_bound);
    }
    if (sizes.max_used_space == 0) {
        sizes.max_used_space = std::min(share(max_used_percent), max_used_bound);
    }
    if (sizes.min_free_space == 0) {
        sizes.min_free_space = share(min_free_percent);
    }
    std::vector<BuilderGcRule> rules(3);
    // Directories that steps share are made again by the next build.
    rules[0].filters = {{"type", {"source.local", "exec.cachemount", "source.git.checkout"}}};
    rules[0].unused_for = temporary_age;
    rules[0].sizes.max_used_space = temporary_space;
    rules[1].unused_for = unused_age;
    rules[1].sizes.reserved_space = sizes.reserved_space;
    rules[2].sizes = sizes;
    return rules;
}

} // namespace berth::engine
