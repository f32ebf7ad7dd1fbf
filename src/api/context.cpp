// SPDX-License-Identifier: Apache-2.0
// Reading queries and JSON bodies as dockerd's httputils does, and plain answers.
#include "api/context.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::api {

namespace {

constexpr std::uint64_t json_body_limit = 8U << 20;

// https://github.com/moby/moby/blob/v28.2.2/api/server/httputils/httputils.go (CheckForJSON)
Result<void> check_content_type(std::string_view header) {
    const auto parts = cut(header, ";");
    const std::string_view type = trim(parts ? parts->before : header);
    if (!equals_ignoring_case(type, "application/json")) {
        return invalid_argument(
            "unsupported Content-Type header (" + std::string(header) +
            "): must be 'application/json'");
    }
    return ok();
}

// The part behind the point as nanoseconds: "5" is 500 ms.
Result<std::int64_t> parse_fraction(std::string_view digits) {
    std::string padded(digits.substr(0, 9));
    padded.append(9 - padded.size(), '0');
    return parse_number<std::int64_t>(padded);
}

} // namespace

Result<Timestamp> parse_timestamp(std::string_view text) {
    if (text.find_first_not_of("0123456789.-") != std::string_view::npos ||
        text.find('-', 1) != std::string_view::npos) {
        auto time = parse_rfc3339(text);
        if (!time.ok()) {
            return invalid_argument("invalid timestamp \"" + std::string(text) + "\"");
        }
        return *time;
    }
    const auto parts = cut(text, ".");
    auto seconds = parse_number<std::int64_t>(parts ? parts->before : text);
    auto fraction = parts && !parts->after.empty() ? parse_fraction(parts->after)
                                                   : Result<std::int64_t>(std::int64_t{0});
    constexpr std::int64_t latest = INT64_MAX / 1'000'000'000 - 1;
    if (!seconds.ok() || !fraction.ok()) {
        return invalid_argument("invalid timestamp \"" + std::string(text) + "\"");
    }
    // Clients that mean "ever" go beyond what nanoseconds can say.
    return Timestamp{std::clamp(*seconds, -latest, latest) * 1'000'000'000 + *fraction};
}

// https://github.com/moby/moby/blob/v28.2.2/api/types/filters/parse.go (FromJSON)
Result<engine::Filters> parse_filters(std::string_view text) {
    engine::Filters filters;
    if (text.empty()) {
        return filters;
    }
    auto document = json::parse(text);
    if (!document.ok() || !(document->is_object() || document->is_null())) {
        return invalid_argument("invalid filter");
    }
    if (document->is_null()) {
        return filters;
    }
    for (const auto& member : document->get_object()) {
        const std::string key(member.key());
        if (member.value().is_array()) {
            for (const auto& value : member.value().get_array()) {
                if (!value.is_string()) {
                    return invalid_argument("invalid filter");
                }
                filters.add(key, std::string(value.get_string()));
            }
        } else if (member.value().is_object()) {
            for (const auto& value : member.value().get_object()) {
                filters.add(key, std::string(value.key()));
            }
        } else {
            return invalid_argument("invalid filter");
        }
    }
    return filters;
}

std::string Context::query(std::string_view name) const {
    return std::string(parts_.request.query.get(name));
}

bool Context::flag(std::string_view name, bool fallback) const {
    return parts_.request.query.flag_or(name, fallback);
}

Result<std::optional<std::int64_t>> Context::number(std::string_view name) const {
    const std::string_view text = parts_.request.query.get(name);
    if (text.empty()) {
        return std::optional<std::int64_t>();
    }
    auto value = parse_number<std::int64_t>(text);
    if (!value.ok()) {
        return invalid_argument(
            "invalid value for " + std::string(name) + ": " + value.error().message());
    }
    return std::optional<std::int64_t>(*value);
}

Result<std::uint32_t> Context::terminal_dimension(std::string_view name) const {
    auto value = parse_number<std::uint32_t>(query(name));
    if (!value.ok()) {
        return invalid_argument(
            "invalid resize " + std::string(name == "h" ? "height" : "width") + " \"" +
            query(name) + "\": invalid syntax");
    }
    return *value;
}

Result<std::optional<Timestamp>> Context::timestamp(std::string_view name) const {
    const std::string_view text = parts_.request.query.get(name);
    if (text.empty() || text == "0") {
        return std::optional<Timestamp>();
    }
    return std::optional<Timestamp>(TRY(parse_timestamp(text)));
}

Result<engine::Filters> Context::filters() const {
    return parse_filters(parts_.request.query.get("filters"));
}

Result<std::optional<json::Value>> Context::json_body() const {
    const std::string_view type = parts_.request.headers.get("Content-Type");
    const bool is_empty = parts_.body.length() == 0U;
    if (!(type.empty() && is_empty)) {
        TRY(check_content_type(type));
    }
    if (is_empty) {
        return std::optional<json::Value>();
    }
    const std::string text = TRY(parts_.body.read_all(json_body_limit));
    if (trim(text).empty()) {
        return invalid_argument("invalid JSON: got EOF while reading request body");
    }
    return std::optional<json::Value>(TRY(json::parse(text)));
}

Result<void> Context::reply_text(unsigned status, std::string document) const {
    document += '\n';
    return parts_.response.respond(status, json_headers(), document);
}

Result<void> Context::reply_empty(unsigned status) const {
    return parts_.response.respond(status, {});
}

Result<void> Context::discard_body() const {
    constexpr std::uint64_t limit = 4096;
    TRY(parts_.body.read_all(limit));
    return ok();
}

} // namespace berth::api
