// SPDX-License-Identifier: Apache-2.0
// The members without omitempty of moby's api/types/container, Config and HostConfig. Links and
// Env are not among them: dockerd makes the first anew and takes an empty second from the image.
#include "api/wire/empty_lists.h"

#include "base/strings.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace berth::api::wire {

namespace {

constexpr auto config_lists = std::to_array<std::string_view>({"OnBuild"});

constexpr auto host_config_lists = std::to_array<std::string_view>(
    {"Binds",
     "PortBindings",
     "VolumesFrom",
     "CapAdd",
     "CapDrop",
     "Dns",
     "DnsOptions",
     "DnsSearch",
     "ExtraHosts",
     "GroupAdd",
     "SecurityOpt",
     "BlkioWeightDevice",
     "BlkioDeviceReadBps",
     "BlkioDeviceWriteBps",
     "BlkioDeviceReadIOps",
     "BlkioDeviceWriteIOps",
     "Devices",
     "DeviceCgroupRules",
     "DeviceRequests",
     "Ulimits"});

constexpr std::string_view own_member = "EmptyLists"; // where the database has them

bool is_empty(const json::Value& value) {
    return (value.is_array() && value.get_array().empty()) ||
           (value.is_object() && value.get_object().empty());
}

void add_empty(
    std::vector<std::string>& found,
    const json::Object& members,
    std::span<const std::string_view> lists) {
    for (const auto& member : members) {
        const auto name = std::ranges::find_if(
            lists, [&](std::string_view list) { return equals_ignoring_case(list, member.key()); });
        if (name != lists.end() && is_empty(member.value())) {
            found.emplace_back(*name);
        }
    }
}

void show(
    json::Object& members,
    std::span<const std::string_view> lists,
    const std::vector<std::string>& sent) {
    for (const std::string_view name : lists) {
        const auto member = members.find(name);
        if (member == members.end() || !(member->value().is_null() || is_empty(member->value()))) {
            continue;
        }
        if (std::ranges::find(sent, name) == sent.end()) {
            member->value() = nullptr;
        } else if (name == "PortBindings") {
            member->value() = json::Object();
        } else {
            member->value() = json::Array();
        }
    }
}

} // namespace

std::vector<std::string> empty_lists_of(const json::Value& body) {
    std::vector<std::string> found;
    if (!body.is_object()) {
        return found;
    }
    add_empty(found, body.get_object(), config_lists);
    for (const auto& member : body.get_object()) {
        if (equals_ignoring_case(member.key(), "HostConfig") && member.value().is_object()) {
            add_empty(found, member.value().get_object(), host_config_lists);
        }
    }
    return found;
}

void show_empty_lists(
    json::Object& config, json::Object& host_config, const std::vector<std::string>& sent) {
    host_config.erase(own_member);
    show(config, config_lists, sent);
    show(host_config, host_config_lists, sent);
}

} // namespace berth::api::wire
