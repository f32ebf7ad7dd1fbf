// SPDX-License-Identifier: Apache-2.0
// The clone that makes init.
#pragma once

#include "base/result.h"
#include "kernel/cgroup.h"
#include "kernel/namespace.h"
#include "runtime/init.h"

namespace berth::runtime {

// The child does not come back. REQUIRES: the calling process has one thread.
Result<kernel::Cloned> clone_init(const InitPlan& plan, const kernel::Cgroup& cgroup);

} // namespace berth::runtime
