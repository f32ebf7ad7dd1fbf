// SPDX-License-Identifier: Apache-2.0
// Where a plugin of Docker's protocol listens, by its name.
// https://docs.docker.com/engine/extend/plugin_api/#plugin-discovery
#pragma once

#include "base/result.h"
#include "http/client.h"

#include <string>
#include <vector>

namespace berth::engine {

struct PluginPlaces {
    std::string sockets = "/run/docker/plugins";
    std::vector<std::string> specifications{"/etc/docker/plugins", "/usr/lib/docker/plugins"};
};

bool is_plugin_socket(const std::string& path);

// NotFound: plugin "x" not found.
Result<http::Endpoint> find_plugin(const PluginPlaces& places, const std::string& name);

} // namespace berth::engine
