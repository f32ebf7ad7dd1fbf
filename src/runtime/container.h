// SPDX-License-Identifier: Apache-2.0
// The OCI runtime as a library: a container is created from a bundle, started, entered, killed and
// deleted. The process that creates a container is the parent of its init and of what exec()
// starts: it reaps them. Create and exec are for single-threaded processes (berth-monitor,
// berth-runtime): they clone without exec.
// https://github.com/opencontainers/runtime-spec/blob/main/runtime.md
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "kernel/cgroup.h"
#include "oci/runtime_config.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::runtime {

// What becomes descriptors 0, 1 and 2; -1: /dev/null. Ignored with a terminal. Borrowed, not
// closed.
struct Stdio {
    int in = -1;
    int out = -1;
    int err = -1;
};

struct CreateOptions {
    std::string state_root; // <state_root>/<id>/ holds state.json and the start gate; 0700
    std::string id;
    std::string bundle;                       // has config.json
    std::optional<oci::RuntimeConfig> config; // instead of reading config.json
    Stdio stdio;
    int preserved_fds = 0;          // descriptors 3 … 2+n stay open in the container
    bool parent_death_kills = true; // init gets SIGKILL when its creator dies
};

// A process in a container, a child of the caller.
struct Process {
    pid_t pid = -1;
    UniqueFd pidfd;
    UniqueFd terminal; // the pseudo terminal's master, when process.terminal is set
};

struct ExecOptions {
    oci::RuntimeProcess process;
    Stdio stdio;
    int preserved_fds = 0;
};

enum class Status : std::uint8_t { Creating, Created, Running, Paused, Stopped };

std::string_view to_string(Status status);

// <state_root>/<id>/state.json.
struct State {
    std::string id;
    std::string oci_version;
    std::string bundle;
    std::string rootfs;
    pid_t pid = 0;
    std::uint64_t start_time = 0; // of pid, clock ticks since boot: tells a reused pid
    std::string created;          // RFC 3339
    std::map<std::string, std::string> cgroup_paths; // controller ("" for v2) -> absolute path
    oci::RuntimeConfig config;                       // without mounts; exec needs the rest
};

class Container {
  public:
    // Errors about the program have the words that Docker's clients look for: NotFound
    // `exec: "foo": executable file not found in $PATH` (127), Forbidden `exec: "/x": permission
    // denied` (126). Conflict when the id exists. After an error nothing is left.
    static Result<Container> create(const CreateOptions& options);

    // NotFound: `container "x" does not exist`.
    static Result<Container> load(const std::string& state_root, const std::string& id);
    static Result<std::vector<std::string>> list(const std::string& state_root);

    Container(Container&&) noexcept = default;
    Container& operator=(Container&&) noexcept = default;

    const State& state() const { return state_; }

    pid_t pid() const { return state_.pid; }

    // Init, for its creator only; once.
    Process take_init() { return std::move(init_); }

    Result<Status> status() const;

    // Opens the gate. Conflict when it is not in state Created. A program that execve(2) refuses
    // after all says so on its stderr and exits with 255, as with runc.
    Result<void> start();

    Result<Process> exec(const ExecOptions& options);

    Result<void> kill(int signal);
    Result<void> kill_all(int signal);
    Result<void> pause();
    Result<void> resume();
    Result<void> update(const oci::RuntimeResources& resources);
    Result<kernel::CgroupStats> stats() const;

    // True when the kernel killed a process of the container for memory.
    bool oom_killed() const;

    // Kills what is left, removes cgroups and state. The caller has reaped init, or is not its
    // parent.
    Result<void> destroy();

  private:
    Container(std::string state_root, State state, kernel::Cgroup cgroup)
        : state_root_(std::move(state_root))
        , state_(std::move(state))
        , cgroup_(std::move(cgroup)) {}

    std::string directory() const { return state_root_ + "/" + state_.id; }

    std::string state_root_;
    State state_;
    kernel::Cgroup cgroup_;
    Process init_;
};

} // namespace berth::runtime
