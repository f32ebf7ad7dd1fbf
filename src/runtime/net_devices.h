// SPDX-License-Identifier: Apache-2.0
// linux.netDevices: devices of the host's network that become the container's. When the container's
// network namespace ends, the kernel gives physical ones back to the host.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#network-devices
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/network_device.h"
#include "oci/runtime_config.h"

#include <string>
#include <vector>

namespace berth::runtime {

// InvalidArgument for names that no device can have and without a network namespace.
Result<void> check_net_devices(const oci::RuntimeConfig& config);

struct MovedDevice {
    std::string host_name;
    std::string name; // in the container
    std::vector<kernel::DeviceAddress> addresses;
    bool was_up = false;
};

struct MovedDevices {
    UniqueFd host; // network namespaces
    UniqueFd container;
    std::vector<MovedDevice> devices;

    // When the creation fails after all: with the container's namespace the kernel would remove
    // virtual devices.
    void give_back() const;
};

// On the host. Each device keeps its attributes and global addresses and is set up. An error leaves
// all of them where they were.
Result<MovedDevices> move_net_devices(const oci::Linux& linux_object, const UniqueFd& pidfd);

} // namespace berth::runtime
