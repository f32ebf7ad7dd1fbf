// SPDX-License-Identifier: Apache-2.0
// Networks that CNI plugins make (`network create -d cni`): what a user may ask of them, and what a
// container tells their plugins.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/container_record.h"
#include "engine/daemon_config.h"
#include "engine/networks.h"
#include "network/network_driver.h"

#include <string>
#include <utility>
#include <vector>

namespace berth::engine {

// Of a network: a list of plugins, the path of a file with one, or the name of one in the folder of
// configurations. Absent: the network's own name.
constexpr std::string_view cni_configuration_option = "com.berth.cni.config";
// Of a container in a network: CNI_ARGS, "A=1;B=2".
constexpr std::string_view cni_arguments_option = "com.berth.cni.args";

bool is_cni_driver(const std::string& driver);

// InvalidArgument for what the plugins' configuration says, and not the network.
Result<void> check_cni_network(const NetworkInspect& network);

network::CniOptions cni_options_of(const NetworkInspect& network, const DaemonConfig& config);

network::CniAttachments::Options cni_settings(const DaemonConfig& config);

// Of cni_arguments_option.
Result<std::vector<std::pair<std::string, std::string>>>
parse_cni_arguments(const std::string& text);

// Names, DNS and arguments. REQUIRES: the settings were checked.
Result<void> add_cni_wishes(
    network::EndpointRequest& request,
    const ContainerDefinition& definition,
    const EndpointSettings& settings,
    const DaemonConfig& config);

} // namespace berth::engine
