// SPDX-License-Identifier: Apache-2.0
// linux.sysctl: only keys that belong to a namespace of the container.
#pragma once

#include "base/result.h"
#include "kernel/procfs.h"
#include "oci/runtime_config.h"

namespace berth::runtime {

// InvalidArgument: `sysctl "kernel.core_pattern" is not in a separate kernel namespace`.
Result<void> check_sysctls(const oci::RuntimeConfig& config);

// In the container's namespaces.
Result<void> write_sysctls(const oci::RuntimeConfig& config, const kernel::Procfs& procfs);

} // namespace berth::runtime
