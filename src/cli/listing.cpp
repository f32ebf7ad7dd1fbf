// SPDX-License-Identifier: Apache-2.0
// Cells of docker's listings.
#include "cli/listing.h"

#include "base/human_duration.h"
#include "base/strings.h"
#include "base/time.h"
#include "cli/table.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace berth::cli {

namespace {

struct PortEntry {
    std::string ip;
    std::string protocol;
    std::int64_t outside = 0;
    std::int64_t inside = 0;

    auto key() const { return std::tie(inside, ip, outside, protocol); }
};

struct PortGroup {
    std::string ip;
    std::string protocol;
    std::int64_t first = 0;
    std::int64_t last = 0;
};

std::string address_text(const std::string& ip) {
    return ip.find(':') == std::string::npos ? ip : "[" + ip + "]";
}

std::string group_text(const PortGroup& group) {
    std::string range = std::to_string(group.first);
    if (group.last != group.first) {
        range += "-" + std::to_string(group.last);
    }
    const std::string outside = group.ip.empty() ? "" : address_text(group.ip) + ":" + range + "->";
    return outside + range + "/" + group.protocol;
}

} // namespace

std::string text_of(const json::Value& value, std::string_view name) {
    const json::Value* member = json::find(value, name);
    if (!member || member->is_null()) {
        return "";
    }
    return member->is_string() ? std::string(member->get_string()) : json::serialize(*member);
}

std::int64_t number_of(const json::Value& value, std::string_view name) {
    const json::Value* member = json::find(value, name);
    if (!member) {
        return 0;
    }
    if (member->is_int64()) {
        return member->get_int64();
    }
    if (member->is_uint64()) {
        return static_cast<std::int64_t>(member->get_uint64());
    }
    return member->is_double() ? static_cast<std::int64_t>(member->get_double()) : 0;
}

bool flag_of(const json::Value& value, std::string_view name) {
    const json::Value* member = json::find(value, name);
    return member && member->is_bool() && member->get_bool();
}

const json::Array& list_of(const json::Value& value, std::string_view name) {
    static const json::Array empty;
    const json::Value* member = json::find(value, name);
    return member && member->is_array() ? member->get_array() : empty;
}

std::string ago(std::int64_t created) {
    return human_duration(Timestamp::now().seconds() - created) + " ago";
}

std::string published_ports(const json::Value& summary) {
    std::vector<PortEntry> entries;
    for (const json::Value& port : list_of(summary, "Ports")) {
        entries.push_back(
            {text_of(port, "IP"),
             text_of(port, "Type"),
             number_of(port, "PublicPort"),
             number_of(port, "PrivatePort")});
    }
    std::sort(entries.begin(), entries.end(), [](const PortEntry& a, const PortEntry& b) {
        return a.key() < b.key();
    });
    // As docker's DisplayablePorts (cli/command/formatter/container.go): runs of ports that are the
    // same inside and outside are shown as one; the others follow, each for itself.
    std::vector<std::string> published;
    std::vector<std::string> mapped;
    std::vector<PortGroup> groups;
    for (const PortEntry& entry : entries) {
        if (!entry.ip.empty() && entry.outside != entry.inside) {
            mapped.push_back(
                address_text(entry.ip) + ":" + std::to_string(entry.outside) + "->" +
                std::to_string(entry.inside) + "/" + entry.protocol);
            continue;
        }
        auto group = std::find_if(groups.begin(), groups.end(), [&entry](const PortGroup& known) {
            return known.ip == entry.ip && known.protocol == entry.protocol;
        });
        if (group == groups.end()) {
            groups.push_back({entry.ip, entry.protocol, entry.inside, entry.inside});
        } else if (entry.inside == group->last + 1) {
            group->last = entry.inside;
        } else {
            published.push_back(group_text(*group));
            group->first = group->last = entry.inside;
        }
    }
    for (const PortGroup& group : groups) {
        published.push_back(group_text(group));
    }
    published.insert(published.end(), mapped.begin(), mapped.end());
    return join(published, ", ");
}

std::string joined_labels(const json::Value& object) {
    std::map<std::string, std::string> sorted;
    if (object.is_object()) {
        for (const auto& [key, value] : object.get_object()) {
            sorted[std::string(key)] =
                value.is_string() ? std::string(value.get_string()) : json::serialize(value);
        }
    }
    std::vector<std::string> pairs;
    for (const auto& [key, value] : sorted) {
        pairs.push_back(key + "=" + value);
    }
    return join(pairs, ",");
}

json::Object pairs_of(const std::vector<std::string>& entries) {
    json::Object pairs;
    for (const std::string& entry : entries) {
        std::optional<Cut> parts = cut(entry, "=");
        pairs[parts ? parts->before : std::string_view(entry)] =
            parts ? parts->after : std::string_view();
    }
    return pairs;
}

Result<std::string> filters_parameter(const std::vector<std::string>& filters) {
    if (filters.empty()) {
        return std::string();
    }
    json::Object object;
    for (const std::string& filter : filters) {
        std::optional<Cut> parts = cut(filter, "=");
        if (!parts) {
            return invalid_argument(
                "invalid filter '" + filter + "': bad format of filter (expected name=value)");
        }
        json::Value& list = object[to_lower(trim(parts->before))];
        if (!list.is_array()) {
            list = json::Array();
        }
        list.as_array().emplace_back(trim(parts->after));
    }
    return json::serialize(json::Value(object));
}

} // namespace berth::cli
