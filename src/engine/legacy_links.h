// SPDX-License-Identifier: Apache-2.0
// --link on the default bridge, where no DNS knows names: the linked container is in the hosts file
// and in the environment. In networks that users make, a link is an alias of the DNS instead.
#pragma once

#include "base/result.h"
#include "engine/container_index.h"

#include <string>
#include <vector>

namespace berth::engine {

struct LinkEffects {
    std::vector<std::string> hosts;       // lines
    std::vector<std::string> environment; // NAME=value
};

// Of a container that is created: turns "db:alias" into what an inspect shows,
// "/db:/<name>/alias". InvalidArgument in Docker's words.
Result<void>
check_links(const std::string& name, HostConfig& host_config, const ContainerIndex& containers);

// Of a container that starts; those that it is linked to must run.
Result<LinkEffects>
link_effects(const ContainerDefinition& definition, const ContainerIndex& containers);

} // namespace berth::engine
