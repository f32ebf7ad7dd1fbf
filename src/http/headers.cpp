// SPDX-License-Identifier: Apache-2.0
// Linear search: a message has about ten fields.
#include "http/headers.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::http {

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (const Field& field : fields_) {
        if (equals_ignoring_case(field.name, name)) {
            return field.value;
        }
    }
    return std::nullopt;
}

std::string_view Headers::get(std::string_view name) const {
    return find(name).value_or(std::string_view());
}

std::vector<std::string_view> Headers::get_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const Field& field : fields_) {
        if (equals_ignoring_case(field.name, name)) {
            values.push_back(field.value);
        }
    }
    return values;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
    for (const Field& field : fields_) {
        if (!equals_ignoring_case(field.name, name)) {
            continue;
        }
        for (std::string_view part : split(field.value, ',')) {
            if (equals_ignoring_case(trim(part), token)) {
                return true;
            }
        }
    }
    return false;
}

void Headers::add(std::string name, std::string value) {
    fields_.push_back({std::move(name), std::move(value)});
}

void Headers::set(std::string_view name, std::string value) {
    remove(name);
    fields_.push_back({std::string(name), std::move(value)});
}

void Headers::remove(std::string_view name) {
    std::erase_if(
        fields_, [&](const Field& field) { return equals_ignoring_case(field.name, name); });
}

} // namespace berth::http
