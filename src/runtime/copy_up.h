// SPDX-License-Identifier: Apache-2.0
// The content of a directory copied into a new tmpfs before it is mounted over it (tmpcopyup).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth::runtime {

// Files, directories, links, devices and pipes with owner, mode and times. No link is followed.
Result<void> copy_up_tree(FdRef from, FdRef to);

} // namespace berth::runtime
