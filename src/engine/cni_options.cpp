// SPDX-License-Identifier: Apache-2.0
// Docker's words for what a network is, CNI's for who makes it.
#include "engine/cni_options.h"

#include "base/strings.h"
#include "engine/container_files.h"
#include "engine/endpoint_settings.h"
#include "engine/network_options.h"
#include "engine/traffic_limits.h"

namespace berth::engine {
namespace {

constexpr std::size_t name_length = 12; // of the network's id

} // namespace

bool is_cni_driver(const std::string& driver) {
    return driver == "cni";
}

Result<void> check_cni_network(const NetworkInspect& network) {
    if (!network.ipam.config.empty()) {
        return invalid_argument("a CNI network has the addresses that its plugins give: subnets, "
                                "gateways and ranges are set in their configuration");
    }
    if (network.internal) {
        return invalid_argument(
            "a CNI network is as internal as its plugins make it: see their configuration");
    }
    return ok();
}

network::CniOptions cni_options_of(const NetworkInspect& network, const DaemonConfig& config) {
    return {
        .name = "cni-" + network.id.substr(0, name_length),
        .configuration = option_or(network.options, cni_configuration_option, network.name),
        .directory = config.cni_config_directory,
        .description = network.name + " (" + network.id + ")",
        .has_rates = network.options.contains(std::string(egress_rate_option)) ||
                     network.options.contains(std::string(ingress_rate_option))};
}

network::CniAttachments::Options cni_settings(const DaemonConfig& config) {
    network::CniAttachments::Options options{.directory = config.data_root + "/cni"};
    if (!config.cni_plugin_directories.empty()) {
        options.plugins.directories = config.cni_plugin_directories;
    }
    if (const auto timeout =
            std::chrono::duration_cast<std::chrono::milliseconds>(config.cni_timeout);
        timeout.count() > 0) {
        options.timeout = timeout;
    }
    return options;
}

Result<std::vector<std::pair<std::string, std::string>>>
parse_cni_arguments(const std::string& text) {
    std::vector<std::pair<std::string, std::string>> arguments;
    for (const std::string_view part : split(text, ';')) {
        const auto argument = cut(part, "=");
        const bool is_bad = !argument || argument->before.empty() ||
                            argument->after.find('=') != argument->after.npos;
        if (is_bad && !part.empty()) {
            return invalid_argument("\"" + text + "\" is not NAME=VALUE;NAME=VALUE");
        }
        if (argument) {
            arguments.emplace_back(argument->before, argument->after);
        }
    }
    return arguments;
}

Result<void> add_cni_wishes(
    network::EndpointRequest& request,
    const ContainerDefinition& definition,
    const EndpointSettings& settings,
    const DaemonConfig& config) {
    request.aliases = dns_names(definition, settings);
    const network::DnsOptions dns = dns_options(definition, config);
    request.dns = {.nameservers = dns.nameservers, .search = dns.search, .options = dns.options};
    request.arguments =
        TRY(parse_cni_arguments(option_or(settings.driver_opts, cni_arguments_option, "")));
    return ok();
}

} // namespace berth::engine
