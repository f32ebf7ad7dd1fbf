// SPDX-License-Identifier: Apache-2.0
// A capability where a plugin has it, CNI_ARGS and args for addresses where none has.
#include "network/drivers/cni_request.h"

#include "base/strings.h"

#include <algorithm>
#include <limits>

namespace berth::network {
namespace {

constexpr std::uint64_t bits_per_byte = 8;
// Of the bandwidth plugin, which counts bursts in 32 bits of bytes.
constexpr std::uint64_t smallest_burst = 256'000;
constexpr std::uint64_t largest_burst = std::numeric_limits<std::uint32_t>::max();

json::Array array_of(const std::vector<std::string>& texts) {
    json::Array array;
    for (const std::string& text : texts) {
        array.emplace_back(text);
    }
    return array;
}

void add_rate(json::Object& bandwidth, const std::string& direction, std::uint64_t rate) {
    if (rate != 0) {
        bandwidth[direction + "Rate"] = rate * bits_per_byte;
        bandwidth[direction + "Burst"] =
            std::clamp(rate * bits_per_byte / 10, smallest_burst, largest_burst);
    }
}

// CNI_ARGS has no quoting.
Result<void> add_argument(std::string& arguments, std::string_view name, std::string_view value) {
    if (name.empty() || name.find_first_of("=;") != std::string_view::npos ||
        value.find_first_of("=;") != std::string_view::npos) {
        return invalid_argument(
            "invalid CNI argument \"" + std::string(name) + "=" + std::string(value) + "\"");
    }
    arguments += (arguments.empty() ? "" : ";") + std::string(name) + "=" + std::string(value);
    return ok();
}

Result<void> add_addresses(
    const EndpointRequest& request,
    const CniConfiguration& configuration,
    CniAttachment& attachment) {
    std::vector<std::string> ips;
    for (const std::optional<IpAddress>& ip : {request.ip, request.ip_v6}) {
        if (ip) {
            ips.push_back(ip->to_string());
        }
    }
    if (ips.empty()) {
        return ok();
    }
    if (configuration.has_capability("ips")) {
        attachment.capability_values["ips"] = array_of(ips);
        return ok();
    }
    attachment.ips = ips;
    return request.ip ? add_argument(attachment.arguments, "IP", request.ip->to_string()) : ok();
}

void add_dns(const EndpointRequest& request, CniAttachment& attachment) {
    json::Object dns;
    if (!request.dns.nameservers.empty()) {
        dns["servers"] = array_of(request.dns.nameservers);
    }
    if (!request.dns.search.empty()) {
        dns["searches"] = array_of(request.dns.search);
    }
    if (!request.dns.options.empty()) {
        dns["options"] = array_of(request.dns.options);
    }
    if (!dns.empty()) {
        attachment.capability_values["dns"] = std::move(dns);
    }
}

Result<void> add_capabilities(
    const EndpointRequest& request,
    const CniConfiguration& configuration,
    CniAttachment& attachment) {
    if (request.mac && configuration.has_capability("mac")) {
        attachment.capability_values["mac"] = request.mac->to_string();
    } else if (request.mac) {
        TRY(add_argument(attachment.arguments, "MAC", request.mac->to_string()));
    }
    if (!request.aliases.empty()) {
        attachment.capability_values["aliases"] = array_of(request.aliases);
    }
    add_dns(request, attachment);
    if (request.rates == RateLimits()) {
        return ok();
    }
    TRY(check_cni_rates(configuration));
    json::Object bandwidth;
    add_rate(bandwidth, "ingress", request.rates.ingress);
    add_rate(bandwidth, "egress", request.rates.egress);
    attachment.capability_values["bandwidth"] = std::move(bandwidth);
    return ok();
}

} // namespace

Error no_cni_capability(
    const CniConfiguration& configuration, std::string_view what, std::string_view capability) {
    return invalid_argument(
        std::string(what) + " not possible in CNI network \"" + configuration.name +
        "\": none of its plugins has the capability " + std::string(capability));
}

Result<void> check_cni_rates(const CniConfiguration& configuration) {
    if (!configuration.has_capability("bandwidth")) {
        return no_cni_capability(configuration, "rates are", "bandwidth");
    }
    return ok();
}

Result<CniAttachment> cni_attachment_of(
    const EndpointRequest& request,
    const CniConfiguration& configuration,
    const std::string& version) {
    if (!request.ports.empty() && !configuration.has_capability(ports_capability)) {
        return no_cni_capability(configuration, "published ports are", ports_capability);
    }
    CniAttachment attachment{.id = request.id, .interface_name = request.interface_name};
    // Plugins that do not know an argument shall pass it over.
    TRY(add_argument(attachment.arguments, "IgnoreUnknown", "1"));
    for (const auto& [name, value] : request.arguments) {
        TRY(add_argument(attachment.arguments, name, value));
    }
    TRY(add_addresses(request, configuration, attachment));
    TRY(add_capabilities(request, configuration, attachment));
    attachment.configuration = configuration.text(version);
    return attachment;
}

json::Value cni_port_mappings(const std::vector<BoundPort>& ports) {
    json::Array mappings;
    for (const BoundPort& port : ports) {
        json::Object mapping{
            {"hostPort", port.host_port},
            {"containerPort", port.container_port},
            {"protocol", to_string(port.protocol)}};
        if (!port.host_ip.is_unspecified()) {
            mapping["hostIP"] = port.host_ip.to_string();
        }
        // 0.0.0.0 and :: are one.
        const json::Value value(std::move(mapping));
        if (std::ranges::find(mappings, value) == mappings.end()) {
            mappings.push_back(value);
        }
    }
    return mappings;
}

Result<void>
check_cni_result(const EndpointRequest& request, const CniResult& result, const MacAddress& mac) {
    for (const std::optional<IpAddress>& ip : {request.ip, request.ip_v6}) {
        if (ip && std::ranges::find(result.addresses, *ip) == result.addresses.end()) {
            return invalid_argument(
                "the CNI plugins did not give the address " + ip->to_string() +
                " that was asked for: none of them has the capability ips, or heeds it");
        }
    }
    if (request.mac && *request.mac != mac) {
        return invalid_argument(
            "the CNI plugins did not give the MAC address " + request.mac->to_string() +
            " that was asked for: none of them has the capability mac, or heeds it");
    }
    return ok();
}

} // namespace berth::network
