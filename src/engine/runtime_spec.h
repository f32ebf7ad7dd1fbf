// SPDX-License-Identifier: Apache-2.0
// From a container's definition to the OCI runtime's config.json, and from an exec to its process.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/container_record.h"
#include "engine/daemon_config.h"
#include "engine/execs.h"
#include "engine/mount_source.h"

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace berth::engine {

struct SpecInput {
    const ContainerDefinition& definition;
    const DaemonConfig& daemon;
    std::string root_path;
    std::string hostname;
    std::string files_directory;
    std::string init_program; // berth-init on the host
    std::string shm_path;     // bound to /dev/shm; empty: a tmpfs of its own
    // /proc/self/fd/<n> in the monitor; empty: as the mode says.
    std::string network_path;
    std::string ipc_path;
    std::string pid_path;
    std::string user_path;
    // Whose its files are shown to be; nullptr: in no user namespace.
    std::shared_ptr<const kernel::OwnerMap> owners{};
    std::span<const MountSource> mount_sources; // of the definition's mounts, in their order
};

// The text of config.json.
Result<std::string> runtime_config(const SpecInput& input);

// linux.resources as JSON, for an update of a running container.
Result<std::string> linux_resources(const HostConfig& host_config);

// The process of an exec as JSON. root_path is where the container's root file system is mounted on
// the host: users are looked up there.
Result<std::string> exec_process(
    const ContainerDefinition& definition,
    const DaemonConfig& daemon,
    const ExecConfig& exec,
    const std::string& root_path);

} // namespace berth::engine
