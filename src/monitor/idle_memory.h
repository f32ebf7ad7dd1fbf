// SPDX-License-Identifier: Apache-2.0
// A quiet monitor keeps hardly more than its heap: everything that the kernel can bring back (code,
// constants) or that nobody reads again (buffers, the used part of the stack) is given back.
#pragma once

#include "base/unique_fd.h"

#include <span>

namespace berth::monitor {

// Gives back the heap's free pages, the buffer's (its content is lost), the stack's below the
// caller, and the mapped pages of the program itself; then waits, so that the way back through the
// event loop does not map them in again, until `fd` is readable or the time is over (-1: never).
void wait_without_memory(std::span<char> buffer, FdRef fd, int timeout_milliseconds);

} // namespace berth::monitor
