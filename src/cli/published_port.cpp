// SPDX-License-Identifier: Apache-2.0
// Reads -p values with the error texts of docker's nat package.
#include "cli/published_port.h"

#include "base/strings.h"

#include <cstdint>

namespace berth::cli {

namespace {

struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t last = 0;

    unsigned size() const { return static_cast<unsigned>(last - first) + 1; }
};

Result<PortRange> parse_range(std::string_view text, std::string_view what) {
    std::optional<Cut> parts = cut(text, "-");
    Result<std::uint16_t> first = parse_number<std::uint16_t>(parts ? parts->before : text);
    Result<std::uint16_t> last = parse_number<std::uint16_t>(parts ? parts->after : text);
    if (!first.ok() || !last.ok() || *last < *first) {
        return invalid_argument(std::string(what) + ": " + std::string(text));
    }
    return PortRange{*first, *last};
}

// "ip:host:container" with an IPv6 address in brackets: the last two colons count.
struct Parts {
    std::string_view ip;
    std::string_view host;
    std::string_view container;
};

Parts split_parts(std::string_view text) {
    Parts parts;
    std::optional<Cut> tail = cut_last(text, ":");
    if (!tail) {
        parts.container = text;
        return parts;
    }
    parts.container = tail->after;
    std::string_view front = tail->before;
    std::optional<Cut> head = front.ends_with(']') ? std::nullopt : cut_last(front, ":");
    if (!head) {
        if (front.starts_with('[')) {
            parts.ip = front;
        } else {
            parts.host = front;
        }
    } else {
        parts.ip = head->before;
        parts.host = head->after;
    }
    if (parts.ip.starts_with('[') && parts.ip.ends_with(']')) {
        parts.ip = parts.ip.substr(1, parts.ip.size() - 2);
    }
    return parts;
}

void add_binding(
    json::Object& bindings, const std::string& port, std::string_view ip, std::string host) {
    json::Value& list = bindings[port];
    if (!list.is_array()) {
        list = json::Array();
    }
    list.as_array().emplace_back(json::Object{{"HostIp", ip}, {"HostPort", host}});
}

} // namespace

Result<void>
add_published_port(std::string_view text, json::Object& exposed, json::Object& bindings) {
    std::string_view protocol = "tcp";
    std::string_view rest = text;
    if (std::optional<Cut> parts = cut_last(text, "/")) {
        rest = parts->before;
        protocol = parts->after;
    }
    std::string lower = to_lower(protocol);
    if (lower != "tcp" && lower != "udp" && lower != "sctp") {
        return invalid_argument("invalid proto: " + std::string(protocol));
    }
    Parts parts = split_parts(rest);
    if (parts.container.empty()) {
        return invalid_argument("no port specified: " + std::string(text) + "<empty>");
    }
    PortRange inside = TRY(parse_range(parts.container, "invalid containerPort"));
    if (inside.first == 0) {
        return invalid_argument("invalid containerPort: " + std::string(parts.container));
    }
    if (parts.host.empty()) {
        for (unsigned i = 0; i < inside.size(); ++i) {
            std::string port = std::to_string(inside.first + i) + "/" + lower;
            exposed[port] = json::Object();
            add_binding(bindings, port, parts.ip, "");
        }
        return ok();
    }
    PortRange outside = TRY(parse_range(parts.host, "invalid hostPort"));
    if (outside.size() != inside.size() && inside.size() != 1) {
        return invalid_argument(
            "invalid ranges specified for container and host Ports: " +
            std::string(parts.container) + " and " + std::string(parts.host));
    }
    for (unsigned i = 0; i < inside.size(); ++i) {
        std::string port = std::to_string(inside.first + i) + "/" + lower;
        exposed[port] = json::Object();
        // A single container port with a range of host ports takes any free one of them.
        bool any_of_range = inside.size() == 1 && outside.size() > 1;
        std::string host =
            any_of_range ? std::string(parts.host) : std::to_string(outside.first + i);
        add_binding(bindings, port, parts.ip, host == "0" ? "" : host);
    }
    return ok();
}

} // namespace berth::cli
