// SPDX-License-Identifier: Apache-2.0
// The child that becomes a container's first process, and the one that exec() makes.
#pragma once

#include "base/unique_fd.h"
#include "kernel/cgroup.h"
#include "oci/runtime_config.h"
#include "runtime/container_mounts.h"
#include "runtime/namespaces.h"
#include "runtime/process_setup.h"
#include "runtime/rootfs.h"
#include "runtime/state.h"

#include <cstdint>
#include <vector>

#include <sched.h>

namespace berth::runtime {

struct InitPlan {
    const oci::RuntimeConfig& config;
    ProcessPlan process;
    NamespacePlan namespaces;
    std::vector<JoinedNamespace> joined;
    const kernel::Cgroup& cgroup;
    UniqueFd root; // detached mount
    std::vector<PreparedMount> mounts;
    std::vector<PreparedDevice> devices;
    UniqueFd null_mount;
    UniqueFd gate;   // the fifo, opened for reading and writing
    UniqueFd socket; // to the creator
    State hook_state;
    // The creator's end of `socket`; the child closes it, so that it notices when the creator is
    // gone.
    int creators_end = -1;
    UniqueFd empty_mounts; // to begin with; else with a copy of the creator's
    bool no_pivot = false;
    bool systemd_moves_it = false; // into its group, instead of being born there

    // CLONE_NEW* of the namespaces that init makes itself.
    std::uint64_t made_by_init() const {
        return namespaces.made_after_clone() | (empty_mounts ? CLONE_NEWNS : 0U);
    }

    // Until its ids are mapped and devices are in its network namespace, it is in its group, or,
    // when no cgroup leads to it, until its creator has written down who it is.
    bool waits_for_creator() const {
        return namespaces.has("user") || !config.linux_.net_devices.empty() ||
               cgroup.directories().empty() || systemd_moves_it;
    }
};

// Ends in execve(2) or exit.
[[noreturn]] void run_init(const InitPlan& plan);

struct ExecPlan {
    const oci::RuntimeConfig& config;
    ProcessPlan process;
    UniqueFd container;       // pidfd of init
    std::uint64_t namespaces; // CLONE_NEW* that the process joins
    std::uint64_t born_in;    // those that it is born in
    State state;              // of the container, for a seccomp agent
    UniqueFd socket;
    bool waits_for_creator = false; // until it has been moved into its group
};

[[noreturn]] void run_exec(const ExecPlan& plan);

} // namespace berth::runtime
