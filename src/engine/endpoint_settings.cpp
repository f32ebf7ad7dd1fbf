// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/container_operations.go (validateEndpointSettings, buildEndpointDNSNames) and
// libnetwork/endpoint.go (Less).
#include "engine/endpoint_settings.h"

#include "base/strings.h"
#include "engine/cni_options.h"
#include "engine/names.h"
#include "engine/network_options.h"
#include "engine/traffic_limits.h"

#include <algorithm>
#include <tuple>

namespace berth::engine {
namespace {

using kernel::IpAddress;
using kernel::IpFamily;
using kernel::IpPrefix;

bool has_static_address(const EndpointSettings& settings) {
    return settings.ipam_config && (!settings.ipam_config->ipv4_address.empty() ||
                                    !settings.ipam_config->ipv6_address.empty());
}

void check_address(const std::string& text, IpFamily family, std::vector<std::string>& problems) {
    if (text.empty()) {
        return;
    }
    const auto address = IpAddress::parse(text);
    if (!address.ok() || address->family() != family || address->is_unspecified()) {
        problems.push_back(
            std::string("invalid ") + (family == IpFamily::V4 ? "IPv4" : "IPv6") +
            " address: " + text);
    }
}

// Held against the subnets of its family that a user chose.
void check_range(
    const std::string& text,
    IpFamily family,
    const KnownNetwork* network,
    std::vector<std::string>& problems) {
    if (text.empty() || network == nullptr || is_cni_driver(network->info.driver)) {
        return;
    }
    const NetworkInspect& info = network->info;
    const auto address = IpAddress::parse(text);
    bool has_subnet = false;
    bool is_within = false;
    for (const IpamPool& pool : info.ipam.config) {
        const auto subnet = IpPrefix::parse(pool.subnet);
        if (!subnet.ok() || subnet->address.family() != family) {
            continue;
        }
        has_subnet = true;
        is_within = is_within || (address.ok() && subnet->contains(*address));
    }
    const bool is_chosen_by_us =
        family == IpFamily::V4 ? info.subnet_v4_is_chosen : info.subnet_v6_is_chosen;
    if (!has_subnet || network->is_predefined || is_chosen_by_us) {
        problems.emplace_back("user specified IP address is supported only when connecting to "
                              "networks with user configured subnets");
    } else if (!is_within) {
        problems.push_back("no configured subnet or ip-range contain the IP address " + text);
    }
}

// moby's daemon/links (ParseLink) and libnetwork (CreateOptionIpam).
Result<void> check_links(const EndpointSettings& settings) {
    for (const std::string& link : settings.links) {
        if (link.empty()) {
            return invalid_argument("empty string specified for links");
        }
        if (split(link, ':').size() > 2) {
            return invalid_argument("bad format for links: " + link);
        }
    }
    static const IpPrefix link_local_v4 = IpPrefix::parse("169.254.0.0/16").value();
    static const IpPrefix link_local_v6 = IpPrefix::parse("fe80::/10").value();
    if (settings.ipam_config) {
        for (const std::string& text : settings.ipam_config->link_local_ips) {
            const IpAddress address = TRY(IpAddress::parse(text));
            if (!(address.is_v4() ? link_local_v4 : link_local_v6).contains(address)) {
                return invalid_argument("invalid link local IP address: " + text);
            }
        }
    }
    return ok();
}

std::vector<std::string> interface_sysctls(const EndpointSettings& settings) {
    std::vector<std::string> sysctls;
    const auto option = settings.driver_opts.find(std::string(endpoint_sysctls_option));
    if (option != settings.driver_opts.end()) {
        for (const std::string_view part : split(option->second, ',')) {
            sysctls.emplace_back(part);
        }
    }
    return sysctls;
}

void check_sysctl(const std::string& sysctl, std::vector<std::string>& problems) {
    const std::vector<std::string_view> parts = split(sysctl, '.');
    const bool is_known = parts.size() >= 5 && parts[0] == "net" &&
                          (parts[1] == "ipv4" || parts[1] == "ipv6" || parts[1] == "mpls") &&
                          (parts[3] == "IFNAME" || parts[3] == "ifname") &&
                          sysctl.find("..") == std::string::npos &&
                          sysctl.find('/') == std::string::npos;
    if (!is_known) {
        problems.push_back(
            "unrecognised network interface sysctl '" + sysctl +
            "'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' "
            "or 'mpls'");
    } else if (!cut(sysctl, "=")) {
        problems.push_back("invalid endpoint sysctl '" + sysctl + "': it has no value");
    }
}

void check_interface_name(const EndpointSettings& settings, std::vector<std::string>& problems) {
    const std::string name = option_or(settings.driver_opts, endpoint_name_option, "");
    const bool is_bad = name.size() > network::longest_interface_name || name == "." ||
                        name == ".." || name == "lo" ||
                        name.find_first_of("/: \t\n%") != std::string::npos;
    if (is_bad) {
        problems.push_back("invalid interface name \"" + name + "\"");
    }
}

// The order of Docker's endpoints: the first is the way out.
auto rank(const GatewayCandidate& candidate) {
    const NetworkInspect& info = candidate.network->info;
    const bool is_dual = info.enable_ipv4 && info.enable_ipv6;
    return std::tuple(-candidate.priority, !is_dual, std::string_view(info.name));
}

} // namespace

Result<void> check_endpoint_settings(
    const std::string& network_name,
    const KnownNetwork* network,
    const EndpointSettings& settings) {
    std::vector<std::string> problems;
    if (is_predefined_network(network_name)) {
        if (has_static_address(settings)) {
            problems.emplace_back(
                "user specified IP address is supported on user defined networks only");
        }
        if (!settings.aliases.empty()) {
            problems.emplace_back("network-scoped alias is supported only for containers in user "
                                  "defined networks");
        }
    }
    if (settings.ipam_config) {
        const EndpointIpamConfig& ipam = *settings.ipam_config;
        check_address(ipam.ipv4_address, IpFamily::V4, problems);
        check_address(ipam.ipv6_address, IpFamily::V6, problems);
        for (const std::string& text : settings.ipam_config->link_local_ips) {
            const auto address = IpAddress::parse(text);
            if (!address.ok() || address->is_unspecified()) {
                problems.push_back("invalid link-local IP address: " + text);
            }
        }
        check_range(ipam.ipv4_address, IpFamily::V4, network, problems);
        check_range(ipam.ipv6_address, IpFamily::V6, network, problems);
    }
    if (!settings.mac_address.empty()) {
        const auto mac = kernel::MacAddress::parse(settings.mac_address);
        if (!mac.ok()) {
            return invalid_argument("invalid MAC address " + settings.mac_address);
        }
        if (!mac->is_unicast()) {
            return invalid_argument(
                "invalid MAC address " + settings.mac_address + ": no interface can have it");
        }
    }
    for (const std::string& sysctl : interface_sysctls(settings)) {
        check_sysctl(sysctl, problems);
    }
    check_interface_name(settings, problems);
    for (std::string& problem : own_option_problems(
             settings.driver_opts, network == nullptr ? std::string() : network->info.driver)) {
        problems.push_back(std::move(problem));
    }
    if (problems.empty()) {
        return check_links(settings);
    }
    return invalid_argument("invalid endpoint settings:\n" + list_of_problems(problems));
}

const EndpointSettings&
settings_in(const ContainerDefinition& definition, const std::string& network_name) {
    static const EndpointSettings none;
    const auto& all = definition.networking.endpoints_config;
    const auto found = all.find(network_name);
    return found == all.end() ? none : found->second;
}

Result<network::EndpointRequest> endpoint_request(const EndpointSettings& settings) {
    network::EndpointRequest request;
    if (settings.ipam_config) {
        const EndpointIpamConfig& ipam = *settings.ipam_config;
        if (!ipam.ipv4_address.empty()) {
            request.ip = TRY(IpAddress::parse(ipam.ipv4_address));
        }
        if (!ipam.ipv6_address.empty()) {
            request.ip_v6 = TRY(IpAddress::parse(ipam.ipv6_address));
        }
        for (const std::string& text : ipam.link_local_ips) {
            request.link_local.push_back(TRY(IpAddress::parse(text)));
        }
    }
    if (!settings.mac_address.empty()) {
        request.mac = TRY(kernel::MacAddress::parse(settings.mac_address));
    }
    for (const std::string& sysctl : interface_sysctls(settings)) {
        if (const auto parts = cut(sysctl, "=")) {
            request.sysctls.emplace_back(parts->before, parts->after);
        }
    }
    return request;
}

std::vector<std::string>
dns_names(const ContainerDefinition& definition, const EndpointSettings& settings) {
    std::vector<std::string> names{definition.name};
    names.insert(names.end(), settings.aliases.begin(), settings.aliases.end());
    names.push_back(definition.id.substr(0, short_id_length));
    if (!definition.config.hostname.empty()) {
        names.push_back(definition.config.hostname);
    }
    std::vector<std::string> distinct;
    for (std::string& name : names) {
        if (std::ranges::find(distinct, name) == distinct.end()) {
            distinct.push_back(std::move(name));
        }
    }
    return distinct;
}

GatewayChoice choose_gateways(const std::vector<GatewayCandidate>& candidates) {
    GatewayChoice choice;
    const auto consider = [&](std::optional<std::size_t>& best, std::size_t index, bool enabled) {
        const NetworkInspect& info = candidates[index].network->info;
        if (!enabled || info.internal || candidates[index].network->network == nullptr) {
            return;
        }
        if (!best || rank(candidates[index]) < rank(candidates[*best])) {
            best = index;
        }
    };
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const NetworkInspect& info = candidates[i].network->info;
        consider(choice.v4, i, info.enable_ipv4);
        consider(choice.v6, i, info.enable_ipv6);
    }
    return choice;
}

} // namespace berth::engine
