// SPDX-License-Identifier: Apache-2.0
// /etc/hosts, line for line what moby's libnetwork/etchosts writes.
#include "network/hosts_file.h"

#include "base/strings.h"

#include <utility>

namespace berth::network {
namespace {

constexpr std::string_view default_lines = "127.0.0.1\tlocalhost\n";
constexpr std::string_view default_v6_lines = "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                              "fe00::\tip6-localnet\n"
                                              "ff00::\tip6-mcastprefix\n"
                                              "ff02::1\tip6-allnodes\n"
                                              "ff02::2\tip6-allrouters\n";

// The user may have given a full name in the hostname or split it; both forms are listed.
std::string own_names(const HostsOptions& options) {
    const std::string full =
        options.domainname.empty() ? options.hostname : options.hostname + "." + options.domainname;
    const std::optional<Cut> parts = cut(full, ".");
    return parts ? full + " " + std::string(parts->before) : full;
}

bool is_listed(const kernel::IpAddress& address, const HostsOptions& options) {
    return options.has_ipv6 || address.is_v4();
}

Result<std::string> extra_lines(const std::string& entry, const HostsOptions& options) {
    // "name:ip" and, since IPv6 addresses have colons, "name=ip"; brackets are allowed.
    std::optional<Cut> parts = cut(entry, "=");
    if (!parts) {
        parts = cut(entry, ":");
    }
    if (!parts || parts->before.empty() || parts->after.empty() ||
        parts->before.find_first_of(" \t\r\n") != std::string_view::npos) {
        return invalid_argument("bad format for add-host: \"" + entry + "\"");
    }
    std::string_view address = parts->after;
    if (address == "host-gateway") {
        if (options.host_gateways.empty()) {
            return invalid_argument("unable to derive the IP value for host-gateway");
        }
        std::string lines;
        for (const kernel::IpAddress& gateway : options.host_gateways) {
            if (is_listed(gateway, options)) {
                lines += gateway.to_string() + "\t" + std::string(parts->before) + "\n";
            }
        }
        return lines;
    }
    if (address.starts_with('[') && address.ends_with(']')) {
        address = address.substr(1, address.size() - 2);
    }
    const auto parsed = kernel::IpAddress::parse(address);
    if (!parsed.ok()) {
        return invalid_argument(
            "invalid IP address in add-host: \"" + std::string(parts->after) + "\"");
    }
    if (!is_listed(*parsed, options)) {
        return std::string();
    }
    return std::string(address) + "\t" + std::string(parts->before) + "\n";
}

} // namespace

Result<std::string> hosts_file(const HostsOptions& options) {
    std::string text(default_lines);
    if (options.has_ipv6) {
        text += default_v6_lines;
    }
    for (const std::string& entry : options.extra_hosts) {
        text += TRY(extra_lines(entry, options));
    }
    for (const kernel::IpAddress& address : options.addresses) {
        if (is_listed(address, options)) {
            text += address.to_string() + "\t" + own_names(options) + "\n";
        }
    }
    return text;
}

std::string replace_hosts_lines(
    std::string_view text, std::string_view names, const std::vector<std::string>& lines) {
    std::string result;
    bool has_new_lines = false;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const auto parts = cut(line, "\t");
        const bool is_one =
            parts && parts->after.starts_with(names) &&
            (parts->after.size() == names.size() || parts->after[names.size()] == ' ');
        if (!is_one) {
            result.append(line).append("\n");
        } else if (!std::exchange(has_new_lines, true)) {
            for (const std::string& fresh : lines) {
                result.append(fresh).append("\n");
            }
        }
    }
    return result;
}

} // namespace berth::network
