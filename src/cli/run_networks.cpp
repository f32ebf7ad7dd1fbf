// SPDX-License-Identifier: Apache-2.0
// After docker/cli's opts/network.go and cli/command/container/opts.go.
#include "cli/run_networks.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::cli {
namespace {

Error conflicting(std::string_view what) {
    return invalid_argument("conflicting options: cannot specify both " + std::string(what));
}

bool is_user_defined(const std::string& target) {
    return target != "default" && target != "bridge" && target != "host" && target != "none" &&
           !target.starts_with("container:");
}

Result<void> set_field(NetworkAttachment& attachment, std::string_view key, std::string value) {
    if (key == "name") {
        attachment.target = std::move(value);
    } else if (key == "alias") {
        attachment.aliases.push_back(std::move(value));
    } else if (key == "driver-opt") {
        if (value.find('=') == std::string::npos) {
            return invalid_argument("invalid key value pair format in driver options");
        }
        attachment.driver_options.push_back(std::move(value));
    } else if (key == "ip") {
        attachment.ip = std::move(value);
    } else if (key == "ip6") {
        attachment.ip6 = std::move(value);
    } else if (key == "mac-address") {
        attachment.mac_address = std::move(value);
    } else if (key == "link-local-ip") {
        attachment.link_local_ips.push_back(std::move(value));
    } else if (key == "gw-priority") {
        if (!parse_number<std::int64_t>(value).ok()) {
            return invalid_argument("invalid gw-priority (" + value + "): invalid syntax");
        }
        attachment.gateway_priority = std::move(value);
    } else {
        return invalid_argument("invalid field key " + std::string(key));
    }
    return ok();
}

// A list in quotes may contain commas: driver-opt=a=1, "driver-opt=a=1,2".
std::vector<std::string> network_fields(const std::string& text) {
    std::vector<std::string> fields{""};
    bool quoted = false;
    for (const char c : text) {
        if (c == '"') {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    return fields;
}

template <class T>
Result<void> take(T& field, const T& flag, std::string_view what) {
    if (flag.empty()) {
        return ok();
    }
    if (!field.empty()) {
        return conflicting(what);
    }
    field = flag;
    return ok();
}

} // namespace

Result<json::Object> NetworkAttachment::settings() const {
    json::Object settings;
    const auto list = [](const std::vector<std::string>& texts) {
        json::Array array;
        for (const std::string& text : texts) {
            array.emplace_back(text);
        }
        return array;
    };
    if (!aliases.empty()) {
        settings["Aliases"] = list(aliases);
    }
    if (!links.empty()) {
        settings["Links"] = list(links);
    }
    if (!mac_address.empty()) {
        settings["MacAddress"] = mac_address;
    }
    json::Object ipam;
    if (!ip.empty()) {
        ipam["IPv4Address"] = ip;
    }
    if (!ip6.empty()) {
        ipam["IPv6Address"] = ip6;
    }
    if (!link_local_ips.empty()) {
        ipam["LinkLocalIPs"] = list(link_local_ips);
    }
    if (!ipam.empty()) {
        settings["IPAMConfig"] = std::move(ipam);
    }
    json::Object options;
    for (const std::string& option : driver_options) {
        const auto parts = cut(option, "=");
        options[parts ? std::string(parts->before) : option] =
            parts ? std::string(parts->after) : std::string();
    }
    if (!options.empty()) {
        settings["DriverOpts"] = std::move(options);
    }
    if (!gateway_priority.empty()) {
        const auto number = parse_number<std::int64_t>(gateway_priority);
        if (!number.ok()) {
            return invalid_argument(
                "invalid gw-priority (" + gateway_priority + "): invalid syntax");
        }
        settings["GwPriority"] = *number;
    }
    return settings;
}

Result<NetworkAttachment> parse_network_flag(const std::string& text) {
    NetworkAttachment attachment;
    if (text.find('=') == std::string::npos) {
        attachment.target = text;
        return attachment;
    }
    for (const std::string& field : network_fields(text)) {
        const auto parts = cut(field, "=");
        if (!parts) {
            return invalid_argument("invalid field " + field);
        }
        TRY(set_field(attachment, to_lower(trim(parts->before)), std::string(trim(parts->after))));
    }
    if (attachment.target.empty()) {
        return invalid_argument("network name/id is not specified");
    }
    return attachment;
}

Result<std::vector<NetworkAttachment>>
network_attachments(const std::vector<std::string>& networks, const NetworkAttachment& flags) {
    std::vector<NetworkAttachment> attachments;
    bool has_user_defined = false;
    bool has_other = false;
    for (const std::string& text : networks) {
        NetworkAttachment next = TRY(parse_network_flag(text));
        const bool is_twice = std::ranges::any_of(
            attachments, [&](const NetworkAttachment& one) { return one.target == next.target; });
        if (is_twice) {
            return invalid_argument("network \"" + next.target + "\" is specified multiple times");
        }
        (is_user_defined(next.target) ? has_user_defined : has_other) = true;
        attachments.push_back(std::move(next));
    }
    if (has_user_defined && has_other && attachments.front().target != "bridge") {
        return invalid_argument("conflicting options: cannot attach both user-defined and "
                                "non-user-defined network-modes");
    }
    if (attachments.empty()) {
        attachments.push_back({.target = "default"});
    }
    NetworkAttachment& first = attachments.front();
    TRY(take(first.aliases, flags.aliases, "--network-alias and per-network alias"));
    TRY(take(first.ip, flags.ip, "--ip and per-network IPv4 address"));
    TRY(take(first.ip6, flags.ip6, "--ip6 and per-network IPv6 address"));
    TRY(take(first.mac_address, flags.mac_address, "--mac-address and per-network MAC address"));
    TRY(take(
        first.link_local_ips,
        flags.link_local_ips,
        "--link-local-ip and per-network link-local IP addresses"));
    // On the default bridge links are the host configuration's.
    if (is_user_defined(first.target)) {
        TRY(take(first.links, flags.links, "--link and per-network links"));
    }
    return attachments;
}

} // namespace berth::cli
