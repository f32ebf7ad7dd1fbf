// SPDX-License-Identifier: Apache-2.0
// resolv.conf(5), read and written by the rules of moby's internal/resolvconf.
#include "network/resolv_conf.h"

#include "base/file.h"
#include "base/strings.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

namespace berth::network {
namespace {

constexpr std::string_view resolved_stub = "127.0.0.53";

std::vector<std::string> strings_of(const std::vector<std::string_view>& views, std::size_t from) {
    return {views.begin() + static_cast<std::ptrdiff_t>(from), views.end()};
}

// "fe80::1%eth0" names an interface that the container has not.
bool is_reachable_from_container(const std::string& nameserver, bool has_ipv6) {
    const Result<kernel::IpAddress> address = kernel::IpAddress::parse(nameserver);
    return address.ok() && (address->is_v4() || has_ipv6) && !address->is_loopback();
}

// The user's search list and options instead of the host's.
void override_lists(ResolvConf& conf, const DnsOptions& options) {
    if (!options.search.empty()) {
        conf.search = options.search;
        std::erase(conf.search, ".");
    }
    if (!options.options.empty()) {
        conf.options = options.options;
    }
}

bool is_ndots(std::string_view option) {
    return option == "ndots" || option.starts_with("ndots:");
}

bool is_valid_ndots(std::string_view option) {
    const std::optional<Cut> parts = cut(option, ":");
    return parts && parse_number<std::uint32_t>(parts->after).ok();
}

// What each part of the file comes from, as moby's internal/resolvconf says it.
std::string origin_comment(
    const HostResolvConf& host,
    const std::vector<std::string>& servers,
    const DnsOptions& options,
    std::string_view ndots_from) {
    std::string text = "\n# Based on host file: '" + host.path + "' (internal resolver)\n";
    if (servers.empty()) {
        text += "# NO EXTERNAL NAMESERVERS DEFINED\n";
    } else {
        std::vector<std::string> names;
        for (const std::string& server : servers) {
            names.push_back(options.nameservers.empty() ? "host(" + server + ")" : server);
        }
        text += "# ExtServers: [" + join(names, " ") + "]\n";
    }
    std::vector<std::string> overrides;
    for (const auto& [list, name] :
         {std::pair(&options.nameservers, "nameservers"),
          std::pair(&options.search, "search"),
          std::pair(&options.options, "options")}) {
        if (!list->empty()) {
            overrides.emplace_back(name);
        }
    }
    return text + "# Overrides: [" + join(overrides, " ") +
           "]\n# Option ndots from: " + std::string(ndots_from) + "\n";
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

Result<Nameserver> Nameserver::parse(std::string_view text) {
    const std::size_t mark = text.find('%');
    const kernel::IpAddress address = TRY(kernel::IpAddress::parse(text.substr(0, mark)));
    if (mark == std::string_view::npos) {
        return Nameserver(address);
    }
    if (address.is_v4() || mark + 1 == text.size()) {
        return invalid_argument("invalid zone of nameserver \"" + std::string(text) + "\"");
    }
    return Nameserver(address, std::string(text.substr(mark + 1)));
}

ResolvConf parse_resolv_conf(std::string_view text) {
    ResolvConf conf;
    for (const std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> fields = words(line);
        if (fields.size() < 2 || fields[0].starts_with('#') || fields[0].starts_with(';')) {
            continue;
        }
        if (fields[0] == "nameserver") {
            if (Nameserver::parse(fields[1]).ok()) {
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

Result<HostResolvConf>
find_host_resolv_conf(const std::string& etc_path, const std::string& resolved_path) {
    std::string text = TRY(read_if_there(etc_path));
    const std::vector<std::string> nameservers = parse_resolv_conf(text).nameservers;
    if (nameservers.size() == 1 && nameservers[0] == resolved_stub) {
        std::string resolved = TRY(read_if_there(resolved_path));
        if (!resolved.empty()) {
            return HostResolvConf{resolved_path, std::move(resolved)};
        }
    }
    return HostResolvConf{etc_path, std::move(text)};
}

Result<std::string>
read_host_resolv_conf(const std::string& etc_path, const std::string& resolved_path) {
    return TRY(find_host_resolv_conf(etc_path, resolved_path)).text;
}

std::string container_resolv_conf(std::string_view host_text, const DnsOptions& options) {
    ResolvConf conf = parse_resolv_conf(host_text);
    if (!options.nameservers.empty()) {
        conf.nameservers = options.nameservers;
    } else {
        std::erase_if(conf.nameservers, [&](const std::string& nameserver) {
            return !is_reachable_from_container(nameserver, options.has_ipv6);
        });
        if (conf.nameservers.empty()) {
            conf.nameservers = {"8.8.8.8", "8.8.4.4"};
            if (options.has_ipv6) {
                conf.nameservers.emplace_back("2001:4860:4860::8888");
                conf.nameservers.emplace_back("2001:4860:4860::8844");
            }
        }
    }
    override_lists(conf, options);
    return format_resolv_conf(conf);
}

EmbeddedResolvConf embedded_resolv_conf(const HostResolvConf& host, const DnsOptions& options) {
    ResolvConf conf = parse_resolv_conf(host.text);
    override_lists(conf, options);
    const std::vector<std::string> servers =
        options.nameservers.empty() ? conf.nameservers : options.nameservers;
    EmbeddedResolvConf embedded;
    embedded.has_ndots = std::any_of(conf.options.begin(), conf.options.end(), is_ndots);
    std::erase_if(conf.options, [](const std::string& option) {
        return is_ndots(option) && !is_valid_ndots(option);
    });
    std::string_view ndots_from = options.options.empty() ? "host" : "override";
    if (std::none_of(conf.options.begin(), conf.options.end(), is_ndots)) {
        // Names of containers have no dots, and are to be asked for as they are first.
        conf.options.emplace_back("ndots:0");
        ndots_from = "internal";
    }
    for (const std::string& server : options.nameservers) {
        if (const auto address = kernel::IpAddress::parse(server); address.ok()) {
            embedded.servers.push_back(*address);
        }
    }
    conf.nameservers = {"127.0.0.11"};
    embedded.text =
        "# Generated by Berth. What is changed here lasts until the container starts again.\n\n" +
        format_resolv_conf(conf) + origin_comment(host, servers, options, ndots_from);
    return embedded;
}

} // namespace berth::network
