// SPDX-License-Identifier: Apache-2.0
// Where a plugin of Docker's protocol listens, by its name: a socket, or, as a specification says,
// also an address, with TLS (https) or without.
// https://docs.docker.com/engine/extend/plugin_api/#plugin-discovery
#pragma once

#include "base/result.h"
#include "http/client.h"

#include <cstddef>
#include <string>
#include <vector>

namespace berth::engine {

inline constexpr const char* plugin_media_type = "application/vnd.docker.plugins.v1.2+json";
// Of a plugin's words, which go to clients and the log.
inline constexpr std::size_t plugin_words_limit = 4096;

struct PluginPlaces {
    std::string sockets = "/run/docker/plugins";
    std::vector<std::string> specifications{"/etc/docker/plugins", "/usr/lib/docker/plugins"};
};

bool is_plugin_socket(const std::string& path);

// A client of it, which has not connected yet. NotFound: plugin "x" not found. InvalidArgument for
// a specification that says nothing usable, or certificates that cannot be read.
Result<http::Client> find_plugin(const PluginPlaces& places, const std::string& name);

} // namespace berth::engine
