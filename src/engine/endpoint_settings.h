// SPDX-License-Identifier: Apache-2.0
// What a user asks of a container's place in a network: checked in Docker's words, and which of
// several networks is the way out.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/container_record.h"
#include "engine/network_registry.h"
#include "network/network.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

// InvalidArgument "invalid endpoint settings:\n…" with all that is wrong. `network` may be absent:
// then the addresses are not held against its subnets.
Result<void> check_endpoint_settings(
    const std::string& network_name, const KnownNetwork* network, const EndpointSettings& settings);

// The container's own settings in the network; empty ones when it has none.
const EndpointSettings&
settings_in(const ContainerDefinition& definition, const std::string& network_name);

// The driver's request, without id, names, ports and routes. REQUIRES: the settings were checked.
Result<network::EndpointRequest> endpoint_request(const EndpointSettings& settings);

// Docker's DNSNames of a container in a user-defined network.
std::vector<std::string>
dns_names(const ContainerDefinition& definition, const EndpointSettings& settings);

struct GatewayCandidate {
    const KnownNetwork* network = nullptr;
    std::int64_t priority = 0;
};

// Indexes of the candidates that the default routes lead to.
struct GatewayChoice {
    std::optional<std::size_t> v4;
    std::optional<std::size_t> v6;

    // Those that ports are published on: where one family has no way out, the other's network
    // relays or says so.
    GatewayChoice for_ports() const { return {.v4 = v4 ? v4 : v6, .v6 = v6 ? v6 : v4}; }
};

// The highest priority; among equals networks of both families first, then by name. Internal
// networks are no way out.
GatewayChoice choose_gateways(const std::vector<GatewayCandidate>& candidates);

} // namespace berth::engine
