// SPDX-License-Identifier: Apache-2.0
// Annotations that are properties of a container's unit, as runc has them.
// https://github.com/opencontainers/runc/blob/main/docs/systemd.md
#pragma once

#include "base/result.h"
#include "kernel/dbus_message.h"

#include <map>
#include <string>
#include <vector>

namespace berth::runtime {

// "org.systemd.property.TimeoutStopSec": "15" and the like. InvalidArgument names the annotation.
Result<std::vector<kernel::DbusProperty>>
systemd_properties(const std::map<std::string, std::string>& annotations);

} // namespace berth::runtime
