// SPDX-License-Identifier: Apache-2.0
// What berth-front gives up before it reads a stranger's first byte. Internal to this library.
#pragma once

#include "base/result.h"

namespace berth::front {

// For good: every capability, new privileges, and the system calls that it has no use for (files,
// programs, other processes, new sockets). REQUIRES: no other thread runs.
Result<void> confine();

} // namespace berth::front
