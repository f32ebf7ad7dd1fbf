// SPDX-License-Identifier: Apache-2.0
// The inside of Container, shared by the files that implement it.
#pragma once

#include "kernel/cgroup.h"
#include "kernel/seccomp.h"
#include "runtime/container.h"
#include "runtime/init.h"
#include "runtime/seccomp_filter.h"
#include "runtime/state_file.h"

#include <optional>
#include <string>

namespace berth::runtime {

struct ContainerCgroup;

struct Container::Impl {
    std::string state_root;
    StateDirectory directory;
    StateRecord record;
    kernel::Cgroup cgroup;
    UniqueFd pidfd; // of init; empty once it has ended
    UniqueFd terminal;
    std::optional<oci::RuntimeConfig> config; // read when it is asked for

    bool init_runs() const;
    bool waits_at_gate() const;
    bool owns_cgroup() const;
    Result<void> remove_cgroup();
    Status status() const;
    State state() const;
    Result<const oci::RuntimeConfig*> load_config();
    std::string seccomp_cache() const;
    Result<void> launch_init(CreateOptions options, ContainerCgroup& group);
};

struct ExecPlace {
    const kernel::Cgroup& cgroup;
    pid_t init = 0;
    std::string unit; // not empty: systemd moves the process
};

// Container::exec's second half: clones, waits until the process is ready.
Result<Process> spawn_in_container(ExecPlan& plan, const ExecPlace& place);

} // namespace berth::runtime
