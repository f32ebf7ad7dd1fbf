// SPDX-License-Identifier: Apache-2.0
// Container: the OCI runtime as a library. create() makes namespaces, cgroup, mounts and the init
// process, which then waits at a gate; start() opens the gate and init executes its program. The
// state lies in state_root/<id>/, so that any process may go on with a container that another one
// created (load()); only the creating process is init's parent and reaps it.
// REQUIRES for create() and exec(): the calling process has one thread (the child that is cloned
// allocates memory) and CAP_SYS_ADMIN. Objects are used by one thread at a time.
// https://github.com/opencontainers/runtime-spec/blob/main/runtime.md
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/cgroup.h"
#include "oci/runtime_config.h"
#include "runtime/state.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::runtime {

// Standard streams of a new process. An empty one becomes /dev/null. Ignored with a terminal.
struct Stdio {
    UniqueFd in;
    UniqueFd out;
    UniqueFd err;

    // Copies of the caller's own 0, 1 and 2.
    static Result<Stdio> inherit();
};

// What happens to a process when the thread that created it ends.
enum class OnParentDeath : bool { Nothing, Kill };

// What a refused cgroup means. Optional: a container without one, unless it has limits. Auto:
// Optional for users and in user namespaces.
enum class CgroupRights : std::uint8_t { Auto, Required, Optional };

struct CreateOptions {
    std::string state_root; // made when absent (0700)
    std::string id;         // [A-Za-z0-9_+.-]
    std::string bundle;     // has config.json and, when root.path is relative, the root
    Stdio stdio;
    OnParentDeath on_parent_death = OnParentDeath::Nothing;
    int preserve_fds = 0; // 3, 4, … of the caller stay open in the container
    bool no_new_keyring = false;
    bool no_pivot = false;       // chroot(2) instead of pivot_root(2)
    bool systemd_cgroup = false; // cgroupsPath is "slice:prefix:name"; systemd makes the group
    CgroupRights cgroup_rights = CgroupRights::Auto;
    // Made ahead for this container by kernel::Cgroup::create, with the controllers that every
    // container needs: saves making it where the configuration wants just that. The caller's to
    // remove after an error.
    std::optional<kernel::Cgroup> cgroup;
    // Of kernel::make_empty_mount_namespace: what the container's mount namespace begins as a copy
    // of, which costs less the more mounts the caller's has. Empty: the caller's. It is also the
    // caller's where the container needs that: for hooks, user namespaces, labels and no_pivot.
    UniqueFd empty_mounts;
    // Called with the configuration before anything is made; its error ends create(). May be empty.
    std::function<Result<void>(const oci::RuntimeConfig&)> check_config;
};

struct ExecOptions {
    oci::Process process;
    Stdio stdio;
    OnParentDeath on_parent_death = OnParentDeath::Nothing;
    int preserve_fds = 0;
    std::map<std::string, std::string> cgroups; // below the container's own; "": all controllers
    bool ignore_paused = false;                 // it then waits until the container goes on
};

struct Process {
    pid_t pid = -1;    // in the caller's pid namespace; a child of the caller
    UniqueFd pidfd;    // readable once it has ended
    UniqueFd terminal; // master side, when process.terminal
};

class Container {
  public:
    // Conflict when the id is taken. An error leaves nothing behind. The program is looked for
    // here, as runc does it: NotFound `exec: "foo": executable file not found in $PATH` and
    // `exec: "/foo": stat /foo: no such file or directory`, Forbidden
    // `exec: "/foo": permission denied`.
    static Result<Container> create(CreateOptions options);

    // NotFound: `container "x" does not exist`.
    static Result<Container> load(const std::string& state_root, const std::string& id);

    // What a forced delete means: destroy(Force::Yes), also of what a creator left that was killed
    // before there was a state to load. Nothing there is no error.
    static Result<void> remove_by_force(const std::string& state_root, const std::string& id);

    // Ids below state_root, sorted.
    static Result<std::vector<std::string>> list(const std::string& state_root);

    Container(Container&&) noexcept;
    Container& operator=(Container&&) noexcept;
    ~Container(); // lets go of descriptors only

    const std::string& id() const;

    // Of init in the caller's pid namespace.
    pid_t pid() const;

    // Readable once init has ended; empty when it had ended before load().
    FdRef pidfd() const;

    // Once, after create() of a config with process.terminal.
    UniqueFd take_terminal();

    // REQUIRES: made by create(). Others read it with load_config().
    const oci::RuntimeConfig& config() const;
    Result<const oci::RuntimeConfig*> load_config() const;

    const kernel::Cgroup& cgroup() const;

    // Opens the gate. Conflict unless the container is created and not started. A program that
    // exec(2) refuses (a wrong format) ends init with 255 after a line on its standard error, as
    // with runc.
    Result<void> start();

    // Same errors as create() for a program that is not there. REQUIRES: see above.
    Result<Process> exec(ExecOptions options);

    // To init; NotFound ("container not running") when it has ended.
    Result<void> kill(int signal);

    // To every process of the container.
    Result<void> kill_all(int signal);

    Result<void> pause();
    Result<void> resume();

    // Only what `resources` names changes.
    Result<void> update(const oci::Resources& resources);

    Result<std::vector<pid_t>> processes() const;

    // The specification's state object, looked up now.
    Result<State> state() const;

    // Conflict while init runs, unless forced (SIGKILL to everything first). Removes cgroup and
    // state, runs poststop hooks. May be called twice.
    enum class Force : bool { No, Yes };
    Result<void> destroy(Force force = Force::No);

    struct Impl;

  private:
    explicit Container(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

} // namespace berth::runtime
