// SPDX-License-Identifier: Apache-2.0
// --link on the default bridge, where no DNS knows names: the linked container is in the hosts file
// and in the environment. In networks that users make, a link is an alias of the DNS instead.
#pragma once

#include "base/result.h"
#include "engine/container_index.h"
#include "network/port_publisher.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::engine {

struct LinkEffects {
    std::vector<std::string> hosts;       // lines
    std::vector<std::string> environment; // NAME=value
};

// Of a container that is created: takes them, "db:alias", out of the host's configuration.
// InvalidArgument in Docker's words.
Result<std::vector<ContainerLink>>
take_links(HostConfig& host_config, const ContainerIndex& containers);

// What an inspect shows: "/db:/web/alias".
std::vector<std::string>
shown_links(const ContainerDefinition& definition, const ContainerIndex& containers);

// Of a container that starts; those that it is linked to must run.
Result<LinkEffects>
link_effects(const ContainerDefinition& definition, const ContainerIndex& containers);

// A link whose other end runs.
struct LiveLink {
    std::vector<std::string> hosts; // lines
    std::string endpoint;           // the other's, in the default bridge
    std::vector<std::pair<network::Protocol, std::uint16_t>> ports; // that it exposes
};

// nullopt: the other container does not run, or not in the default bridge.
std::optional<LiveLink> live_link(const ContainerLink& link, const ContainerIndex& containers);

// How the link's lines in the hosts file begin, also while the other container does not run. Empty:
// it is gone.
std::string names_of(const ContainerLink& link, const ContainerIndex& containers);

// The container's place in the default bridge; nullptr: none.
const EndpointState* bridge_endpoint(const ContainerLife& life);

} // namespace berth::engine
