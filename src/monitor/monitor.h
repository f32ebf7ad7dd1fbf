// SPDX-License-Identifier: Apache-2.0
// Monitor: what a berth-monitor process does. It creates one container, is the parent of its
// processes, serves their streams, and tells how they ended. docs/formats/monitor-protocol.md.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "io/event_loop.h"
#include "io/log_output.h"
#include "kernel/cgroup_oom.h"
#include "monitor/control_connection.h"
#include "monitor/monitor_options.h"
#include "monitor/process_streams.h"
#include "monitor/protocol.h"
#include "monitor/scratch.h"
#include "runtime/container.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::monitor {

// Single-threaded. REQUIRES: the process is a berth-monitor (become_monitor()).
class Monitor {
  public:
    static Result<std::unique_ptr<Monitor>> create(MonitorOptions options);
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;
    ~Monitor();

    // Returns when the container has ended, everybody has been told and every client has read its
    // output; or when it could not be created or nobody wants to start it any more.
    void run();

  private:
    struct ExecProcess {
        std::string id;
        pid_t pid = 0;
        Exited exit;
        bool reaped = false;
        std::unique_ptr<ProcessStreams> streams;
    };

    using ExecPtr = std::unique_ptr<ExecProcess>;

    Monitor(MonitorOptions options, std::unique_ptr<io::EventLoop> loop);

    // Life of the container (monitor.cpp)
    Result<void> set_up();
    Result<void> create_container();
    Result<void> watch_for_oom_kills();
    void note_oom_kills();
    Result<void> listen();
    Result<void> add_control(UniqueFd socket);
    void reap();
    void handle_init_exit(int wait_status);
    void handle_exec_exit(ExecProcess& exec, int wait_status);
    void finish_exec(ExecProcess& exec);
    void keep_told(Exited exit);
    void sweep_execs();
    void finish_container();
    void keep_mounts();
    void remove_container();
    void stop_listening();
    void fail(Error error);
    void drop_configuration();
    void tell(const Notice& notice);
    void consider_quitting();
    bool has_clients() const;

    // Requests (monitor_requests.cpp)
    Notice answer(Request request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const AwaitCreated& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Start& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(Attach& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(Exec& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Signal& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Resize& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Pause& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Resume& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Status& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Update& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Release& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Launch& request, std::vector<UniqueFd>& descriptors);
    Result<Notice> handle(const Expect& request, std::vector<UniqueFd>& descriptors);
    Result<runtime::Container*> running_container();
    Result<pid_t> start_exec(ExecProcess& exec, const Exec& request);
    ExecProcess* find_exec(const std::string& id);
    Result<ProcessStreams*> find_streams(const std::string& exec_id);

    MonitorOptions options_;
    std::unique_ptr<io::EventLoop> loop_;
    Scratch scratch_;
    std::unique_ptr<io::LogOutput> log_;
    UniqueFd signals_;
    UniqueFd listener_;
    std::vector<std::unique_ptr<ControlConnection>> controls_;

    std::optional<runtime::Container> container_;
    UniqueFd mounts_;              // the container's mount namespace, see keep_mounts()
    std::optional<Error> failure_; // of create or start
    std::unique_ptr<ProcessStreams> streams_;
    std::vector<ExecPtr> execs_;      // that run, or whose output is not read to the end
    std::vector<ExecPtr> told_execs_; // whose clients still read
    std::deque<Exited> untold_exits_; // of execs, while no engine is connected
    std::deque<Exited> told_exits_;   // of execs: a client asks the next engine, too
    ContainerPhase phase_ = ContainerPhase::Created;
    pid_t pid_ = 0;
    Timestamp started_;
    Exited exit_;
    std::optional<kernel::OomWatch> oom_watch_; // of a group that systemd may remove
    bool oom_killed_ = false;
    bool own_pid_namespace_ = true;
    bool finished_ = false; // exit.json is written
    bool released_ = false;
};

// Makes this process independent of the one that started it: a session of its own, the reaper of
// orphans, deaf to signals that are meant for the engine.
Result<void> become_monitor();

} // namespace berth::monitor
