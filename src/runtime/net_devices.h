// SPDX-License-Identifier: Apache-2.0
// linux.netDevices: devices of the host's network that become the container's. When the container's
// network namespace ends, the kernel gives physical ones back to the host.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#network-devices
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/runtime_config.h"

namespace berth::runtime {

// InvalidArgument for names that no device can have and without a network namespace.
Result<void> check_net_devices(const oci::RuntimeConfig& config);

// On the host. Each device keeps its attributes and global addresses and is set up.
Result<void> move_net_devices(const oci::Linux& linux_object, const UniqueFd& pidfd);

} // namespace berth::runtime
