// SPDX-License-Identifier: Apache-2.0
// MonitorClient: the engine's side of one berth-monitor.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/event_loop.h"
#include "io/log_file.h"
#include "io/terminal.h"
#include "monitor/exit_record.h"
#include "monitor/protocol.h"
#include "monitor/spare_monitors.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::monitor {

struct InheritedFd {
    UniqueFd fd;
    int number; // in the monitor; at least first_inherited_fd
};

// Numbers below belong to the monitor itself.
inline constexpr int first_inherited_fd = 8;

struct LaunchOptions {
    std::string program = "berth-monitor"; // a path, or a name that is looked for in PATH
    std::optional<StartedMonitor> spare;   // of that program; nullopt: one is started
    std::string id;
    std::string bundle;                // has config.json
    std::string runtime_root;          // the OCI runtime's state root
    std::string socket_path;           // at most 107 bytes
    std::string exit_path;             // an old file is removed
    std::optional<io::LogOptions> log; // nullopt: output is not kept
    bool systemd_cgroup = false;       // config.json names a scope of systemd
    bool terminal = false;             // as process.terminal in config.json
    bool open_stdin = false;           // a pipe or the terminal; else /dev/null
    bool stdin_once = false; // the first client with stdin that ends its input closes the process's
    // Become descriptors of the monitor until the container is created: config.json may name a
    // network namespace as /proc/self/fd/<number>.
    std::vector<InheritedFd> fds;
    UniqueFd empty_mounts; // runtime::CreateOptions::empty_mounts; may be empty
};

// A client's connection for a session of attach or exec. Raw bytes when the process has a terminal,
// else Docker's frames when `multiplexed`. The monitor reads input from it until it is closed for
// writing, and writes output: at most 1 MiB is held for a client that does not read, then the
// process's output waits for it (as it does with Docker). When the process has ended and all output
// is written, the connection is shut down. Send the HTTP response's header before.
struct AttachRequest {
    UniqueFd connection;
    std::string exec_id; // empty: the container's init
    bool want_stdin = false;
    bool want_stdout = true;
    bool want_stderr = true;
    bool multiplexed = true;
    // Docker's notation; nullopt: the session cannot be left. Only with a terminal.
    std::optional<std::string> detach_keys;
    std::string leftover; // what the HTTP server had read beyond the request
};

struct ExecRequest {
    std::string exec_id;
    std::string process; // JSON of the OCI runtime specification's process
    bool terminal = false;
    bool open_stdin = false;
    // nullopt: detached; output is thrown away. exec_id inside is ignored.
    std::optional<AttachRequest> attach;
};

// Called from the event loop's thread; must not block and must not call blocking functions of the
// client (all that return Result wait for the monitor). An exit can be told before start() or
// exec() has returned in its thread.
struct MonitorHandlers {
    // Of the container's init (exec_id empty) and of execs. Once for each. For init: the log is
    // complete and exit.json is written; its mounts, the runtime's state and the cgroup are being
    // removed, and gone when release() has returned.
    std::function<void(const Exited&)> on_exit;
    // A client used the detach keys.
    std::function<void(const std::string& exec_id)> on_detach;
    // The connection ended; once, and always last. After on_exit of init: the monitor is gone, as
    // it should be. Without: read exit.json (read_exit_record); when there is none, the monitor was
    // killed: its death kills init (parent-death signal); call remove_abandoned() to be sure.
    std::function<void()> on_lost;
};

// For MonitorClient::release: a file server that is gone may hold the container's mounts up.
inline constexpr std::chrono::seconds longest_release{10};

// Thread-safe. Every request fails with Unavailable when the connection is lost. Destroying the
// client ends the connection, not the monitor, except before start(): a container that was created
// and not started goes with it. No handler is called once the destructor has returned; do not
// destroy it inside of a handler.
class MonitorClient {
  public:
    // Starts a monitor, which begins to create the container at once. Returns without waiting; an
    // engine that dies from now on can connect() to it.
    static Result<std::shared_ptr<MonitorClient>>
    launch(io::EventLoop& loop, LaunchOptions options, MonitorHandlers handlers);

    // To a monitor that runs already. NotFound when there is none at that path. on_exit tells
    // exits that no engine has been told.
    static Result<std::shared_ptr<MonitorClient>>
    connect(io::EventLoop& loop, const std::string& socket_path, MonitorHandlers handlers);

    MonitorClient(const MonitorClient&) = delete;
    MonitorClient& operator=(const MonitorClient&) = delete;
    ~MonitorClient();

    // Waits until the runtime has created the container; gives the pid of its init. After an error
    // the monitor goes away and nothing is left of the container.
    Result<pid_t> wait_created();

    // Lets init run the program, as soon as the container is created; gives the pid of its init.
    // Attach before, and no output is missed. The runtime's error when the program cannot be run
    // (NotFound, Forbidden); then nothing is left of the container.
    Result<pid_t> start();

    // The connection stays with the caller when it fails.
    Result<void> attach(AttachRequest& request);
    Result<pid_t> exec(ExecRequest& request);

    // An empty exec_id names init. NotFound when the process has ended.
    Result<void> signal(const std::string& exec_id, int number);
    Result<void> kill_all(int number);
    Result<void> resize(const std::string& exec_id, io::TerminalSize size);
    Result<void> pause();
    Result<void> resume();

    // `resources`: JSON of the OCI runtime specification's linux.resources.
    Result<void> update(const std::string& resources);
    // NotImplemented when the monitor is of a build that this engine cannot deal with.
    Result<StatusReply> status();

    // The exit is stored: the monitor may go as soon as its clients have read everything. Waits
    // until it has removed what was the container's, but not for clients; DeadlineExceeded when
    // that takes longer.
    Result<void> release(std::chrono::milliseconds limit = longest_release);

    // 0 when connected: the kernel would name the engine that made the monitor's socket.
    pid_t monitor_pid() const;

  private:
    struct State;
    explicit MonitorClient(std::shared_ptr<State> state);

    std::shared_ptr<State> state_;
};

// Ends what a killed monitor left: kills every process in the container's cgroup and removes the
// runtime's state. Nothing to do is fine.
Result<void> remove_abandoned(const std::string& runtime_root, const std::string& id);

} // namespace berth::monitor
