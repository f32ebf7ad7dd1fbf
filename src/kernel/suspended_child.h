// SPDX-License-Identifier: Apache-2.0
// A process for what a thread of ours cannot do without taking the others along, such as entering
// another mount namespace: clone(2) with CLONE_VM, CLONE_FILES and CLONE_VFORK.
#pragma once

#include "base/result.h"

#include <string_view>

namespace berth::kernel {

// Runs `function` in a process that has our memory and descriptors, and waits until it is gone. It
// must do nothing but system calls by syscall(2) and end with exit. The error is about the process;
// what the function has to tell it writes through `argument`. Thread-safe.
Result<void> run_suspended_child(int (*function)(void*), void* argument, std::string_view what);

} // namespace berth::kernel
