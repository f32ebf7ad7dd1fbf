// SPDX-License-Identifier: Apache-2.0
// linux.resources as the kernel layer's limits and device rules.
#pragma once

#include "base/result.h"
#include "kernel/cgroup.h"
#include "oci/runtime_config.h"

#include <vector>

namespace berth::runtime {

Result<kernel::CgroupLimits> cgroup_limits(const oci::Resources& resources);
Result<std::vector<kernel::CgroupDeviceRule>>
device_rules(const std::vector<oci::DeviceRule>& rules);

} // namespace berth::runtime
