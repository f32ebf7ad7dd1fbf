// SPDX-License-Identifier: Apache-2.0
// What SIGHUP does: the configuration is read again.
#pragma once

#include "api/authorization.h"
#include "engine/daemon_config.h"
#include "engine/engine.h"

#include <string>
#include <vector>

namespace berth::bin {

// As the program was called.
struct Invocation {
    std::string program;
    std::vector<std::string> arguments;
};

void set_log_level(const engine::DaemonConfig& config);

// An error is logged and leaves all as it was.
void reload(
    const Invocation& invocation, engine::Engine& engine, api::Authorization& authorization);

} // namespace berth::bin
