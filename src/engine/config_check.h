// SPDX-License-Identifier: Apache-2.0
// Is a container's configuration consistent, and can this engine honour it? Fills in the defaults
// that an inspect shows. What cannot be honoured is NotImplemented and names the field: nothing
// that limits or protects is ever dropped silently.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/daemon_config.h"
#include "runtime/socket_families.h"

#include <string>
#include <string_view>
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
    std::string apparmor; // "": the default profile, "unconfined", else a profile's name
    std::string seccomp;  // "": the default profile, "unconfined", else a profile's JSON text
    runtime::SocketFamilies socket_families = runtime::SocketFamilies::All;
    bool socket_families_given = false;     // for this container, not as the daemon's default
    std::optional<bool> writable_cgroups{}; // absent: of privileged containers
};

Result<SecurityOptions>
parse_security_options(const std::vector<std::string>& options, const DaemonConfig& daemon);

// "all" or "limited", of the option or flag `name`.
Result<runtime::SocketFamilies>
parse_socket_families(std::string_view name, std::string_view value);

// Bytes that the container may write to its root file system, by --storage-opt size; 0: no limit.
Result<std::uint64_t> size_limit(const HostConfig& host_config, const DaemonConfig& daemon);

// Of containers that ask for none: as configured, else Docker's, which has a namespace of its own
// where only cgroup v2 is.
std::string default_cgroup_namespace(const DaemonConfig& daemon);

// "container:web" -> "web"; empty for any other mode.
std::string container_of_mode(const std::string& mode);

// The namespace modes; for network mode "default" and "" stand for bridge.
bool is_host_mode(const std::string& mode);
// By a sysctl of its own: then it has no address of IPv6, on its loopback interface neither.
bool turns_ipv6_off(const HostConfig& host_config);

} // namespace berth::engine
