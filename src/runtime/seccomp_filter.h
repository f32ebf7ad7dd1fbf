// SPDX-License-Identifier: Apache-2.0
// linux.seccomp: the compiled filter, and the agent that answers for SCMP_ACT_NOTIFY.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/seccomp.h"
#include "oci/runtime_seccomp.h"
#include "runtime/state.h"

#include <optional>
#include <string>

#include <sys/types.h>

namespace berth::runtime {

kernel::SeccompFilter seccomp_filter(const oci::Seccomp& seccomp);

// Compiled or from the cache; nullopt when no filter is asked for.
Result<std::optional<kernel::SeccompProgram>>
seccomp_program(const std::optional<oci::Seccomp>& seccomp, const std::string& cache_directory);

struct FilteredProcess {
    FdRef pidfd;
    pid_t pid = 0;
    int listener = -1; // number of the listener's descriptor in the process
};

// Takes the listener out of the process and sends it, with the specification's container process
// state, to the socket at listenerPath.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#the-container-process-state
Result<void>
hand_over_listener(const oci::Seccomp& seccomp, const FilteredProcess& process, const State& state);

} // namespace berth::runtime
