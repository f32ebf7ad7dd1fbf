// SPDX-License-Identifier: Apache-2.0
// In which control group a container is, by dockerd's two drivers: directories of the engine's own
// (cgroupfs), or scopes that systemd makes.
#pragma once

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/daemon_config.h"

#include <string>

namespace berth::engine {

// As --exec-opt native.cgroupdriver says; else systemd where it runs and cgroup version 2 is alone.
bool uses_systemd_cgroups(const DaemonConfig& daemon);

// Unavailable for systemd where it does not run, InvalidArgument for a parent that is not of its
// kind.
Result<void> check_cgroup_driver(const DaemonConfig& daemon);

// Of a container or the engine; "" is fine.
Result<void> check_cgroup_parent(const std::string& parent, const DaemonConfig& daemon);

// linux.cgroupsPath of config.json.
std::string cgroups_path(const ContainerDefinition& definition, const DaemonConfig& daemon);

// Below the mount points of the cgroup file systems.
std::string cgroup_path(const ContainerDefinition& definition, const DaemonConfig& daemon);

// The parent of build steps, which are in directories of their own by either driver.
std::string build_cgroup_parent(const DaemonConfig& daemon);

// Removes the control group that containers of this engine were made in, where it is empty.
void remove_cgroup_parent(const DaemonConfig& daemon);

} // namespace berth::engine
