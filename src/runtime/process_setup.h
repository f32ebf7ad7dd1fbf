// SPDX-License-Identifier: Apache-2.0
// From "a process in the container's namespaces" to "the user's program": what init and exec have
// in common. Everything runs in the child.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/capabilities.h"
#include "kernel/procfs.h"
#include "kernel/seccomp.h"
#include "oci/runtime_config.h"
#include "runtime/container.h"
#include "runtime/process_traits.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::runtime {

// Opened and compiled by the creator before the clone.
struct ProcessPlan {
    const oci::Process* process = nullptr;
    Stdio stdio;
    UniqueFd null_device;  // of the host, for streams that nobody wants
    kernel::Procfs procfs; // of the host: no mount of the container can be in its place
    std::optional<kernel::SeccompProgram> seccomp;
    std::vector<UniqueFd> cgroup_joins;
    kernel::CapabilitySets capabilities;
    ProcessTraits traits;
    int preserve_fds = 0;
    bool new_keyring = true;
    bool in_user_namespace = false;
    OnParentDeath on_parent_death = OnParentDeath::Nothing;

    // Everything that can be checked without the process is checked here.
    static Result<ProcessPlan> create(const oci::Process& process, const oci::Linux& linux_object);

    // For a process in a user namespace, by its creator: pipes that it may want to reopen
    // (/dev/stdout) become its user's, which it cannot see to from inside.
    void give_pipes(const oci::Linux& linux_object) const;

  private:
    explicit ProcessPlan(kernel::Procfs host_procfs)
        : procfs(std::move(host_procfs)) {}
};

// First thing in the child: not dumpable (nobody in the container may look at us while we hold
// the host's descriptors), own session, descriptors closed on exec, streams at 0, 1, 2.
Result<void> isolate_process(const ProcessPlan& plan);

// oom_score_adj and rlimits, which may need the rights of the host.
Result<void> set_host_limits(const ProcessPlan& plan);

// The program to execute, once the process is the user.
struct Executable {
    std::string path;
    std::vector<std::string> environment;
};

// Credentials, capabilities, seccomp, directory; ends with the lookup of the program. `socket` is
// to the creator, which takes a seccomp listener over. REQUIRES: the container's root is the
// process's root.
Result<Executable> become_user(const ProcessPlan& plan, FdRef socket);

// execve(2); returns only the error.
Error execute(const ProcessPlan& plan, const Executable& executable);

// After execute() has failed: a line on standard error, exit status 255 (runc).
[[noreturn]] void end_after_failed_execute(const Error& error);

} // namespace berth::runtime
