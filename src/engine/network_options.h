// SPDX-License-Identifier: Apache-2.0
// What a user asks of a network, checked in Docker's words and put into what the driver makes.
#pragma once

#include "base/result.h"
#include "engine/networks.h"
#include "network/drivers/bridge_network.h"
#include "network/drivers/sublink_network.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

// com.docker.network.* options that more than one place reads.
constexpr std::string_view bridge_name_option = "com.docker.network.bridge.name";
constexpr std::string_view interface_prefix_option = "com.docker.network.container_iface_prefix";
constexpr std::string_view host_binding_option = "com.docker.network.bridge.host_binding_ipv4";
constexpr std::string_view mtu_option = "com.docker.network.driver.mtu";
constexpr std::string_view parent_option = "parent"; // of macvlan and ipvlan
constexpr std::string_view endpoint_sysctls_option = "com.docker.network.endpoint.sysctls";
constexpr std::string_view endpoint_name_option = "com.docker.network.endpoint.ifname";
// Of Berth's own, beside those of traffic_limits.h.
constexpr std::string_view any_source_option = "com.berth.bridge.any_source";
constexpr std::string_view shortcut_option = "com.berth.bridge.shortcut";
constexpr std::string_view big_tcp_option = "com.berth.bridge.big_tcp";

// As Docker tells several at once: one by itself, more as points of a list.
std::string list_of_problems(const std::vector<std::string>& problems);

// The value of an option, or fallback.
std::string option_or(const StringMap& options, std::string_view name, std::string_view fallback);

// moby's api/types/network/ipam.go, ValidateIPAM: InvalidArgument with all that is wrong.
Result<void> check_ipam(const std::vector<IpamPool>& pools, bool enable_ipv6);

// InvalidArgument for a prefix that makes no names of interfaces: they are made when containers
// start.
Result<void> check_interface_prefix(const StringMap& options);

// REQUIRES: check_ipam() was fine, and a pool is there for each family that is enabled.
// InvalidArgument in Docker's words for options that cannot be.
Result<network::BridgeOptions> bridge_options_of(const NetworkInspect& network);

// macvlan and ipvlan.
bool is_sublink_driver(const std::string& driver);
// REQUIRES as above, and is_sublink_driver().
Result<network::SublinkOptions> sublink_options_of(const NetworkInspect& network);

// Whether a subnet of the family has a gateway that nobody names. Its pools need not be there yet.
// InvalidArgument as above.
Result<bool> has_usual_gateway(const NetworkInspect& network, kernel::IpFamily family);

} // namespace berth::engine
