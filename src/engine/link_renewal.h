// SPDX-License-Identifier: Apache-2.0
// Links (legacy_links.h) of running containers: what they open in a bridge that keeps its
// containers apart (--icc=false), and that they follow a container that starts again with another
// address. The environment of a program that runs stays as it is, as with Docker.
#pragma once

#include "engine/core.h"

#include <map>
#include <string>
#include <vector>

namespace berth::engine {

// Opens what the container's links open. A failure is logged: a linked container that has just
// ended takes its part away with it.
void open_links(
    Core& core, const ContainerDefinition& definition, const std::vector<EndpointState>& endpoints);

// Of a container that has just started, or was found running: its own links, and those of others to
// it.
void renew_links(Core& core, const LiveContainer& container);

// "web/alias", with or without a slash before it. In a container that runs its line in the hosts
// file goes and its ports close; variables stay. NotFound, or Internal in Docker's words.
Result<void> remove_link(Core& core, const std::string& name);

// The names that links of others give containers, "/web/alias", by the container's id.
std::multimap<std::string, std::string> link_names(const ContainerIndex& containers);

} // namespace berth::engine
