// SPDX-License-Identifier: Apache-2.0
// A container's run: start, exit, restart by policy, and the way back to a monitor that outlived
// an earlier engine. docs/flows/run.md tells the story.
#pragma once

#include "engine/container_mounts.h"
#include "engine/core.h"
#include "engine/health_checks.h"
#include "engine/runtime_spec.h"

#include <functional>
#include <memory>
#include <string>

namespace berth::engine {

class ContainerLogs;
class ExecTable;

class ContainerRunner {
  public:
    // `remove` takes an auto-removed container away once it has ended.
    using Remove = std::function<void(const ContainerPtr&)>;

    ContainerRunner(Core& core, ExecTable& execs, HealthChecks& health);
    ~ContainerRunner();

    ContainerMounts& mounts() { return mounts_; }

    ContainerLogs& logs() { return *logs_; }

    void set_remove(Remove remove) { remove_ = std::move(remove); }

    // NotModified when it runs. InvalidArgument with the runtime's words when the program cannot be
    // run; the container has exit code 127, 126 or 128 then.
    Result<void> start(const ContainerPtr& container, const std::stop_token& stop = {});

    // For containers that the database says run: finds the monitor, or what became of it.
    void reconnect(const ContainerPtr& container);

    // Of a daemon that starts: containers whose restart policy wants them running.
    void restart_after_boot(const ContainerPtr& container);

    // Returns when nothing is left of the container's last run: its control groups, its mounts, its
    // entry at the runtime. What there was has been told to be over before.
    void see_off(LiveContainer& container);

    // A restart that waits for its time is called off. True when there was one.
    bool cancel_restart(LiveContainer& container);

  private:
    struct Launched;

    Result<std::shared_ptr<const ContainerDefinition>> begin_start(LiveContainer& container);
    Result<void> launch(const ContainerPtr& container, Launched& launched);
    void expect_cgroup(Launched& launched);
    Result<void> write_files(const Launched& launched, const SharedNamespaces& shared);
    Result<std::shared_ptr<monitor::MonitorClient>>
    spawn_monitor(const ContainerPtr& container, Launched& launched, SharedNamespaces shared);
    Result<void> run_program(LiveContainer& container, Launched& launched);
    void finish_start(const ContainerPtr& container, Launched& launched);
    void abandon_start(LiveContainer& container);
    void fail_start(LiveContainer& container, Launched& launched, const Error& error);

    monitor::MonitorHandlers handlers(const ContainerPtr& container, std::uint64_t run);
    void handle_exit(const ContainerPtr& container, std::uint64_t run, const monitor::Exited& exit);
    void remove_abandoned(const LiveContainer& container);
    void handle_lost(const ContainerPtr& container, std::uint64_t run);
    Result<monitor::StatusReply> reach_monitor(
        const ContainerPtr& container,
        std::uint64_t run,
        std::shared_ptr<monitor::MonitorClient>& client);
    void keep_out_of_reach(const ContainerPtr& container, std::uint64_t run, const Error& error);
    void resume_frozen(const ContainerPtr& container);
    void finish_absent(const ContainerPtr& container, std::uint64_t run);
    void end_run(const ContainerPtr& container, std::uint64_t run, const monitor::Exited& exit);
    void clean_up(LiveContainer& container, const ContainerDefinition& definition);
    void schedule_restart(const ContainerPtr& container, std::uint64_t run);
    void restart_now(const ContainerPtr& container, std::uint64_t run);
    void start_again(const ContainerPtr& container);

    Core& core_;
    ExecTable& execs_;
    HealthChecks& health_;
    ContainerMounts mounts_;
    std::unique_ptr<ContainerLogs> logs_;
    Remove remove_;
};

// What there is to say of a container that was killed and left no word.
monitor::Exited killed_exit();

enum class Ended : std::uint8_t { ByItself, Unhealthy };

// Whether the policy has a restart left.
bool may_restart_again(const RestartPolicy& policy, const ContainerLife& life);
bool wants_restart(const RestartPolicy& policy, const ContainerLife& life, Ended how);

// The callbacks of waiters whose condition holds now, taken out of the state.
std::vector<ExitCallback> take_waiters(LiveState& state, bool removed);

} // namespace berth::engine
