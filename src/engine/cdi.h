// SPDX-License-Identifier: Apache-2.0
// Devices by the Container Device Interface: a name such as "vendor.com/class=name" stands for
// device nodes, mounts, variables and hooks that a file of the vendor's lists.
// https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/daemon_config.h"
#include "oci/runtime_config.h"

#include <string>
#include <vector>

namespace berth::engine {

// Those of the daemon's configuration, or Docker's: /etc/cdi and /var/run/cdi. An empty name alone
// is none.
std::vector<std::string> cdi_directories(const DaemonConfig& daemon);

// Of the files in these directories, later ones before earlier ones. Sorted.
std::vector<std::string> cdi_devices(const std::vector<std::string>& directories);

// The requests of `--device vendor.com/class=name` and `--gpus`. `config` has its process, devices
// and resources. Errors are Docker's.
Result<void> inject_devices(
    oci::RuntimeConfig& config,
    const std::vector<DeviceRequest>& requests,
    const std::vector<std::string>& directories);

} // namespace berth::engine
