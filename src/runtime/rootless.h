// SPDX-License-Identifier: Apache-2.0
// Containers of a user who is not root: the runtime itself goes into the user namespace that the
// configuration asks for, and from there does what it does for root.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/runtime_config.h"
#include "runtime/state_file.h"

namespace berth::runtime {

// For a caller who is not root: enters the user namespace of `config`, which is then no longer
// part of `config`. Root's callers are left alone. InvalidArgument without a user namespace.
Result<void> enter_rootless(oci::RuntimeConfig& config);

// The same for a container that runs. True when its user namespace has been joined.
Result<bool> join_rootless(FdRef init, const oci::RuntimeConfig& config);

} // namespace berth::runtime
