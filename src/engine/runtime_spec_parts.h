// SPDX-License-Identifier: Apache-2.0
// The larger parts of config.json: mounts, resources, devices. Used by runtime_spec.cpp alone.
#pragma once

#include "engine/runtime_spec.h"
#include "oci/runtime_config.h"

#include <vector>

namespace berth::engine {

// Adds binds, volumes, tmpfs, /dev/shm and the three managed files to the default mounts. A
// default that the user mounts over goes.
Result<void> apply_mounts(oci::RuntimeConfig& config, const SpecInput& input);

std::vector<oci::IdMapping> mappings_of(const std::vector<kernel::IdRange>& ranges);

// Whose the files of a mount are shown to be.
void show_as(oci::Mount& mount, const kernel::IdMaps& owners);

// One mount of the user's.
oci::Mount runtime_mount(const PlannedMount& planned, const MountSource& source);

// Without device rules.
Result<oci::Resources> resources_of(const HostConfig& host_config);

// --device, --device-cgroup-rule, and for privileged containers every device of the host.
Result<void> add_devices(
    oci::RuntimeConfig& config, std::vector<oci::DeviceRule>& rules, const HostConfig& host_config);

} // namespace berth::engine
