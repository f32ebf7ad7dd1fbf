// SPDX-License-Identifier: Apache-2.0
// Is a container's configuration consistent, and can this engine honour it? Fills in the defaults
// that an inspect shows. What cannot be honoured is NotImplemented and names the field: nothing
// that limits or protects is ever dropped silently.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/daemon_config.h"

#include <string>
#include <vector>

namespace berth::engine {

// The warnings that `docker create` prints.
Result<std::vector<std::string>>
check_and_complete(ContainerConfig& config, HostConfig& host_config, const DaemonConfig& daemon);

Result<void> check_restart_policy(const RestartPolicy& policy, bool auto_remove);

// What the security options amount to.
struct SecurityOptions {
    bool no_new_privileges = false;
    bool unmask_system_paths = false;
    std::string seccomp; // "": the default profile, "unconfined", else a profile's JSON text
};

Result<SecurityOptions>
parse_security_options(const std::vector<std::string>& options, const DaemonConfig& daemon);

// "container:web" -> "web"; empty for any other mode.
std::string container_of_mode(const std::string& mode);

// The namespace modes; for network mode "default" and "" stand for bridge.
bool is_host_mode(const std::string& mode);

} // namespace berth::engine
