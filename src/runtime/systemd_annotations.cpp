// SPDX-License-Identifier: Apache-2.0
// runc: libcontainer/specconv, initSystemdProps.
#include "runtime/systemd_annotations.h"

#include "kernel/dbus_variant_text.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace berth::runtime {

namespace {

constexpr std::string_view prefix = "org.systemd.property.";
constexpr std::uint64_t microseconds = 1'000'000;

bool is_property_name(std::string_view name) {
    return name.size() >= 3 && std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           });
}

// systemd documents times as "TimeoutStopSec" and takes "TimeoutStopUSec".
bool is_in_seconds(std::string_view name) {
    constexpr std::string_view suffix = "Sec";
    return name.ends_with(suffix) && name.size() > suffix.size() &&
           name[name.size() - suffix.size() - 1] >= 'a' &&
           name[name.size() - suffix.size() - 1] <= 'z';
}

Result<std::uint64_t> in_microseconds(const kernel::DbusProperty::Value& value) {
    return std::visit(
        [](const auto& held) -> Result<std::uint64_t> {
            using Held = std::decay_t<decltype(held)>;
            if constexpr (std::is_arithmetic_v<Held> && !std::is_same_v<Held, bool>) {
                const double wanted = static_cast<double>(held) * microseconds;
                if (!(wanted >= 0 && wanted < std::ldexp(1.0, 64))) {
                    return invalid_argument("not a time");
                }
                if constexpr (std::is_floating_point_v<Held>) {
                    return static_cast<std::uint64_t>(wanted);
                } else {
                    return static_cast<std::uint64_t>(held) * microseconds;
                }
            } else {
                return invalid_argument("not a number");
            }
        },
        value);
}

Result<kernel::DbusProperty> property_of(std::string name, const std::string& text) {
    kernel::DbusProperty::Value value = TRY(kernel::parse_variant_text(text));
    if (is_in_seconds(name)) {
        value = TRY(in_microseconds(value));
        name.insert(name.size() - 3, "U");
    }
    return kernel::DbusProperty{std::move(name), std::move(value)};
}

} // namespace

Result<std::vector<kernel::DbusProperty>>
systemd_properties(const std::map<std::string, std::string>& annotations) {
    std::vector<kernel::DbusProperty> properties;
    for (auto entry = annotations.lower_bound(std::string(prefix));
         entry != annotations.end() && entry->first.starts_with(prefix);
         ++entry) {
        const auto& [key, text] = *entry;
        std::string name = key.substr(prefix.size());
        if (!is_property_name(name)) {
            return invalid_argument(
                "annotation " + key + ": \"" + name + "\" is no property's name");
        }
        Result<kernel::DbusProperty> property = property_of(std::move(name), text);
        if (!property.ok()) {
            return std::move(property).error().with_context("annotation " + key + "=" + text);
        }
        properties.push_back(std::move(*property));
    }
    return properties;
}

} // namespace berth::runtime
