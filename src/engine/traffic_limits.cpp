// SPDX-License-Identifier: Apache-2.0
// Which driver has which option, and their values. Others' options are not looked at: Docker takes
// any.
#include "engine/traffic_limits.h"

#include "base/strings.h"
#include "engine/cni_options.h"
#include "engine/network_options.h"
#include "network/connection_bound.h"

namespace berth::engine {
namespace {

constexpr std::string_view own_prefix = "com.berth.";

bool is_rate(std::string_view name) {
    return name == egress_rate_option || name == ingress_rate_option;
}

Result<std::uint32_t> parse_connections(const std::string& text) {
    if (text == "unlimited") {
        return 0U;
    }
    const auto number = parse_number<std::uint32_t>(text);
    if (!number.ok() || *number == 0) {
        return invalid_argument(
            "\"" + text + R"(" is neither a number of connections nor "unlimited")");
    }
    return *number;
}

Result<void> check_limit(std::string_view name, const std::string& value) {
    if (value.empty()) {
        return ok(); // as if it were not there
    }
    if (is_rate(name)) {
        TRY(network::parse_rate(value));
    } else {
        TRY(parse_connections(value));
    }
    return ok();
}

// Why networks of the driver cannot have the limit; empty: they can.
std::string lacks_limit(std::string_view name, const std::string& driver) {
    if (is_sublink_driver(driver)) {
        return driver + " networks do not have it: their interfaces have no end on the host";
    }
    if (driver == "host") {
        return "the host's network does not have it";
    }
    if (is_cni_driver(driver) && !is_rate(name)) {
        return "CNI networks do not have it: only their plugins know which way packets take";
    }
    return {};
}

Result<void>
check_limit_of(std::string_view name, const std::string& value, const std::string& driver) {
    if (const std::string why = lacks_limit(name, driver); !why.empty()) {
        return invalid_argument(why);
    }
    return check_limit(name, value);
}

bool is_limit(std::string_view name) {
    return is_rate(name) || name == connections_option;
}

// Those with values are read by bridge_options_of().
bool is_known_to(std::string_view name, const std::string& driver) {
    const bool is_bridges =
        name == any_source_option || name == shortcut_option || name == big_tcp_option;
    if (driver == "null") { // of a network that is nothing but settings
        return is_bridges || name == cni_configuration_option;
    }
    return is_cni_driver(driver) ? name == cni_configuration_option
                                 : driver == "bridge" && is_bridges;
}

std::string kind_of(const std::string& driver) {
    if (driver == "null") {
        return "a configuration network";
    }
    return is_cni_driver(driver) ? "a CNI network"
           : driver == "ipvlan"  ? "an ipvlan network"
                                 : "a " + driver + " network";
}

} // namespace

Result<void> check_own_options(const NetworkInspect& network) {
    for (const auto& [name, value] : network.options) {
        if (!name.starts_with(own_prefix)) {
            continue;
        }
        if (is_limit(name)) {
            TRY_CONTEXT(check_limit_of(name, value, network.driver), "network option " + name);
        } else if (!is_known_to(name, network.driver)) {
            return invalid_argument("unknown option " + name + " of " + kind_of(network.driver));
        }
    }
    for (const auto& [name, value] : network.ipam.options.value_or(StringMap())) {
        if (name.starts_with(own_prefix)) {
            return invalid_argument("unknown IPAM option " + name);
        }
    }
    return ok();
}

std::vector<std::string>
own_option_problems(const StringMap& endpoint_options, const std::string& driver) {
    std::vector<std::string> problems;
    for (const auto& [name, value] : endpoint_options) {
        if (!name.starts_with(own_prefix)) {
            continue;
        }
        Result<void> checked;
        if (driver == "null") {
            checked = invalid_argument("there is no interface that could have it");
        } else if (is_limit(name)) {
            checked = check_limit_of(name, value, driver);
        } else if (name == cni_arguments_option && (driver.empty() || is_cni_driver(driver))) {
            const auto arguments = parse_cni_arguments(value);
            checked = arguments.ok() ? ok() : Result<void>(arguments.error());
        } else {
            checked = invalid_argument("unknown option");
        }
        if (!checked.ok()) {
            problems.push_back(name + ": " + checked.error().message());
        }
    }
    return problems;
}

Result<network::RateLimits>
rates_of(const StringMap& network_options, const EndpointSettings& settings) {
    const auto rate = [&](std::string_view option) -> Result<std::uint64_t> {
        const std::string text =
            option_or(settings.driver_opts, option, option_or(network_options, option, ""));
        return text.empty() ? Result<std::uint64_t>(0) : network::parse_rate(text);
    };
    network::RateLimits limits;
    limits.egress = TRY(rate(egress_rate_option));
    limits.ingress = TRY(rate(ingress_rate_option));
    return limits;
}

Result<std::uint32_t>
connections_of(const NetworkInspect& network, const EndpointSettings& settings) {
    const std::string text = option_or(
        settings.driver_opts,
        connections_option,
        option_or(network.options, connections_option, ""));
    if (text.empty()) {
        // The host does not see the connections of the others.
        return network.driver == "bridge" ? network::default_connections() : 0;
    }
    return TRY_CONTEXT(parse_connections(text), std::string(connections_option));
}

} // namespace berth::engine
