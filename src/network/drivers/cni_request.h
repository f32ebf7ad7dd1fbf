// SPDX-License-Identifier: Apache-2.0
// What a container asks for, in the words of CNI's conventions.
// https://github.com/containernetworking/cni/blob/main/CONVENTIONS.md
#pragma once

#include "base/result.h"
#include "codec/json.h"
#include "network/cni_chain.h"
#include "network/network.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::network {

constexpr std::string_view ports_capability = "portMappings";

// "published ports are not possible in CNI network …"
Error no_cni_capability(
    const CniConfiguration& configuration, std::string_view what, std::string_view capability);

// InvalidArgument where no plugin of the configuration holds containers to rates.
Result<void> check_cni_rates(const CniConfiguration& configuration);

// All but the ports. InvalidArgument for what no plugin of the configuration can do.
Result<CniAttachment> cni_attachment_of(
    const EndpointRequest& request,
    const CniConfiguration& configuration,
    const std::string& version);

// Every address of the host is named by none.
json::Value cni_port_mappings(const std::vector<BoundPort>& ports);

// The plugins may have given something else than was asked for.
Result<void>
check_cni_result(const EndpointRequest& request, const CniResult& result, const MacAddress& mac);

} // namespace berth::network
