// SPDX-License-Identifier: Apache-2.0
// Options of Berth's own, com.berth.*: of a network, for each container in it, or of one container
// in it. What cannot be is refused where it is said, not when a container starts.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/networks.h"
#include "network/rate_limit.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

constexpr std::string_view egress_rate_option = "com.berth.rate.egress";
constexpr std::string_view ingress_rate_option = "com.berth.rate.ingress";
constexpr std::string_view connections_option = "com.berth.connections";

// InvalidArgument names the option: one that is unknown, has no such value, or that the network's
// driver does not have.
Result<void> check_own_options(const NetworkInspect& network);

// What is wrong with a container's own options; nothing: empty. `driver` is the network's, or empty
// where that is not known yet.
std::vector<std::string>
own_option_problems(const StringMap& endpoint_options, const std::string& driver);

// The network's limits, where the endpoint has none of its own.
Result<network::RateLimits>
rates_of(const StringMap& network_options, const EndpointSettings& settings);

// How many connections the container may have open in the network; 0: as many as it likes.
Result<std::uint32_t>
connections_of(const NetworkInspect& network, const EndpointSettings& settings);

} // namespace berth::engine
