// SPDX-License-Identifier: Apache-2.0
// CVE-2019-5736: a program in a container can reach the runtime's own file through /proc/<pid>/exe
// and write to it as root. So a program that puts itself into containers runs from a read-only
// mount of its file that belongs to no mount namespace: nobody can make it writable again.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>

namespace berth::runtime {

// The program's file on a detached read-only mount; where that is impossible, a sealed copy in
// memory. To be executed by descriptor ("/proc/self/fd/N"): one for all monitors of an engine.
Result<UniqueFd> protected_program(const std::string& path);

// True when this process already runs from such a file.
bool runs_protected();

// Executes this program again from a protected file, unless it runs from one. Call first in main.
Result<void> protect_program(char* const* arguments);

} // namespace berth::runtime
