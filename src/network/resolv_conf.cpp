// SPDX-License-Identifier: Apache-2.0
// resolv.conf(5), read and written by the rules of moby's internal/resolvconf.
#include "network/resolv_conf.h"

#include "base/file.h"
#include "base/strings.h"

#include <algorithm>
#include <cerrno>

namespace berth::network {
namespace {

constexpr std::string_view resolved_stub = "127.0.0.53";

std::vector<std::string> strings_of(const std::vector<std::string_view>& views, std::size_t from) {
    return {views.begin() + static_cast<std::ptrdiff_t>(from), views.end()};
}

// An address without its zone: "fe80::1%eth0" names an interface that the container has not.
bool is_address(std::string_view text) {
    return kernel::IpAddress::parse(text).ok();
}

bool is_reachable_from_container(const std::string& nameserver) {
    const Result<kernel::IpAddress> address = kernel::IpAddress::parse(nameserver);
    // Containers have no IPv6 route until IPv6 networks are there.
    return address.ok() && address.value().is_v4() && !address.value().is_loopback();
}

std::string line_of(std::string_view keyword, const std::vector<std::string>& values) {
    return values.empty() ? "" : std::string(keyword) + " " + join(values, " ") + "\n";
}

Result<std::string> read_if_there(const std::string& path) {
    Result<std::string> text = read_file(path, 1U << 20);
    if (!text.ok() && text.error().error_number() == ENOENT) {
        return std::string();
    }
    return text;
}

} // namespace

ResolvConf parse_resolv_conf(std::string_view text) {
    ResolvConf conf;
    for (const std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> fields = words(line);
        if (fields.size() < 2 || fields[0].starts_with('#') || fields[0].starts_with(';')) {
            continue;
        }
        if (fields[0] == "nameserver") {
            if (is_address(fields[1])) {
                conf.nameservers.emplace_back(fields[1]);
            }
        } else if (fields[0] == "search" || fields[0] == "domain") {
            conf.search = strings_of(fields, 1); // the last one counts
        } else if (fields[0] == "options") {
            const std::vector<std::string> more = strings_of(fields, 1);
            conf.options.insert(conf.options.end(), more.begin(), more.end());
        }
    }
    return conf;
}

std::string format_resolv_conf(const ResolvConf& conf) {
    std::string text;
    for (const std::string& nameserver : conf.nameservers) {
        text += "nameserver " + nameserver + "\n";
    }
    return text + line_of("search", conf.search) + line_of("options", conf.options);
}

Result<std::string>
read_host_resolv_conf(const std::string& etc_path, const std::string& resolved_path) {
    std::string text = TRY(read_if_there(etc_path));
    const std::vector<std::string> nameservers = parse_resolv_conf(text).nameservers;
    if (nameservers.size() != 1 || nameservers[0] != resolved_stub) {
        return text;
    }
    std::string resolved = TRY(read_if_there(resolved_path));
    return resolved.empty() ? text : resolved;
}

std::string container_resolv_conf(std::string_view host_text, const DnsOptions& options) {
    ResolvConf conf = parse_resolv_conf(host_text);
    if (!options.nameservers.empty()) {
        conf.nameservers = options.nameservers;
    } else {
        std::erase_if(conf.nameservers, [](const std::string& nameserver) {
            return !is_reachable_from_container(nameserver);
        });
        if (conf.nameservers.empty()) {
            conf.nameservers = {"8.8.8.8", "8.8.4.4"};
        }
    }
    if (!options.search.empty()) {
        conf.search = options.search;
        std::erase(conf.search, ".");
    }
    if (!options.options.empty()) {
        conf.options = options.options;
    }
    return format_resolv_conf(conf);
}

} // namespace berth::network
