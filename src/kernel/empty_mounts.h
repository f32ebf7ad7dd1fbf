// SPDX-License-Identifier: Apache-2.0
// A mount namespace to begin with: mount_namespaces(7). A new one is a copy of its maker's, mount
// by mount, so that a container's would be made of all other containers' roots, to be taken apart
// again at once. docs/decisions/0038.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth::kernel {

// A mount namespace whose one visible mount is an empty directory that nobody can write to; nothing
// is propagated to it. It lives as long as the descriptor. Thread-safe.
Result<UniqueFd> make_empty_mount_namespace();

} // namespace berth::kernel
