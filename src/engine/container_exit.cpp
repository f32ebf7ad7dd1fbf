// SPDX-License-Identifier: Apache-2.0
// How a run ends: the exit is stored, waiters are told, the restart policy decides.
#include "base/log.h"
#include "engine/container_files.h"
#include "engine/container_logs.h"
#include "engine/container_runner.h"
#include "engine/exec_table.h"
#include "engine/link_renewal.h"

#include <algorithm>
#include <csignal>

#include <fcntl.h>

namespace berth::engine {
namespace {

using std::chrono::milliseconds;

// moby's restartmanager: doubled from 100 ms to a minute; a run of ten seconds starts it over.
constexpr std::int64_t first_delay_ms = 100;
constexpr std::int64_t longest_delay_ms = 60'000;
constexpr std::int64_t steady_run_seconds = 10;

} // namespace

bool may_restart_again(const RestartPolicy& policy, const ContainerLife& life) {
    return policy.maximum_retry_count == 0 || life.restart_count < policy.maximum_retry_count;
}

bool wants_restart(const RestartPolicy& policy, const ContainerLife& life, Ended how) {
    const bool failed = life.state.exit_code != 0;
    if (policy.name == restart_on_failure) {
        return failed && may_restart_again(policy, life);
    }
    if (policy.name == restart_on_unhealthy) {
        return (failed || how == Ended::Unhealthy) && may_restart_again(policy, life);
    }
    return policy.name == "always" || policy.name == "unless-stopped";
}

std::vector<ExitCallback> take_waiters(LiveState& state, bool removed) {
    std::vector<ExitCallback> taken;
    std::erase_if(state.waiters, [&](Waiter& waiter) {
        if (waiter.condition == WaitCondition::Removed && !removed) {
            return false;
        }
        taken.push_back(std::move(waiter.callback));
        return true;
    });
    return taken;
}

monitor::Exited killed_exit() {
    return {.code = 128 + SIGKILL, .signal = SIGKILL, .time = Timestamp::now()};
}

void ContainerRunner::handle_exit(
    const ContainerPtr& container, std::uint64_t run, const monitor::Exited& exit) {
    {
        auto state = container->state.lock();
        if (state->run != run) {
            return;
        }
        if (state->transition == Transition::Starting) {
            state->early_exit = exit;
            return;
        }
        if (state->monitor == nullptr) {
            return; // told twice: by the monitor and by its end
        }
        state->leaving = std::exchange(state->monitor, nullptr);
    }
    end_run(container, run, exit);
}

void ContainerRunner::end_run(
    const ContainerPtr& container, std::uint64_t run, const monitor::Exited& exit) {
    std::shared_ptr<const ContainerDefinition> definition;
    std::vector<EndpointState> endpoints;
    {
        auto state = container->state.lock();
        definition = state->definition;
        endpoints = std::move(state->life.endpoints);
        state->life.endpoints.clear();
    }
    execs_.handle_container_exit(container->id);
    logs_->end(*definition);
    // Before anybody is told: the next container may want the same ports.
    measure(core_.metrics.networks.release, [&] {
        core_.network->disconnect(container->id, endpoints);
    });
    core_.publish_network(*definition, endpoints, "disconnect");
    mounts_.tell_of_return(*definition);

    bool restarts = false;
    bool is_restoring = false; // an engine that starts: all have their turn
    std::int64_t duration = 0; // seconds
    std::vector<ExitCallback> waiting;
    {
        auto state = container->state.lock();
        ContainerState& shown = state->life.state;
        shown.exit_code = exit.code;
        shown.oom_killed = exit.oom_killed;
        shown.finished_at = exit.time.is_zero() ? Timestamp::now() : exit.time;
        duration = shown.finished_at.seconds() - shown.started_at.seconds();
        shown.pid = 0;
        const Ended how = shown.health && shown.health->status == "unhealthy" ? Ended::Unhealthy
                                                                              : Ended::ByItself;
        if (shown.health && shown.health->status != "none") {
            shown.health->status = "unhealthy";
        }
        state->out_of_reach.clear();
        restarts = !state->life.stopped_by_user && !core_.stopping &&
                   wants_restart(definition->host_config.restart_policy, state->life, how);
        is_restoring = core_.restoring;
        shown.status = restarts ? ContainerStatus::Restarting : ContainerStatus::Exited;
        waiting = take_waiters(*state, false);
    }
    core_.persist(*container, store::Durability::Cache);
    if (exit.oom_killed) {
        core_.publish(*definition, "oom");
    }
    core_.publish(
        *definition,
        "die",
        {{"exitCode", std::to_string(exit.code)}, {"execDuration", std::to_string(duration)}});
    for (const ExitCallback& callback : waiting) {
        callback({.exit_code = exit.code, .error = {}});
    }
    clean_up(*container, *definition);
    if (is_restoring) {
        return; // ContainerSupervisor::settle() restarts or removes it
    }
    if (restarts) {
        schedule_restart(container, run);
    } else if (definition->host_config.auto_remove) {
        logs_->when_handed_on(container->id, [this, container, run] {
            if (container->state.lock()->run == run) { // nobody has started it meanwhile
                remove_(container);
            }
        });
    }
}

// A monitor that does not answer was killed before it was through, or went with its engine.
void ContainerRunner::see_off(LiveContainer& container) {
    const std::lock_guard departure(container.departure);
    const std::shared_ptr<monitor::MonitorClient> client =
        std::exchange(container.state.lock()->leaving, nullptr);
    if (client == nullptr) {
        return;
    }
    auto released = client->release();
    if (!released.ok() && released.error().kind() == ErrorKind::DeadlineExceeded) {
        log::warn("monitor is still at work, going on without it", {{"id", container.id}});
    } else if (!released.ok()) {
        remove_abandoned(container);
    }
}

void ContainerRunner::remove_abandoned(const LiveContainer& container) {
    auto removed = monitor::remove_abandoned(core_.runtime_root(), container.id);
    if (!removed.ok()) {
        log::error(
            "abandoned container not removed, ignoring",
            {{"id", container.id}, {"error", removed.error().message()}});
    }
}

// After everybody was told: taking an overlay down can sync what it wrote.
void ContainerRunner::clean_up(LiveContainer& container, const ContainerDefinition& definition) {
    see_off(container);
    mounts_.give_back(definition);
    if (!core_.store->layers().has_writable(definition.id)) {
        return; // removed already, with all that was mounted
    }
    auto unmounted = core_.store->layers().unmount(definition.id);
    if (!unmounted.ok() && core_.store->layers().has_writable(definition.id)) {
        log::warn(
            "root not unmounted, ignoring",
            {{"id", definition.id}, {"error", unmounted.error().message()}});
    }
    if (definition.host_config.ipc_mode == "shareable") {
        unmount_shared_memory(core_, definition.id);
    }
}

void ContainerRunner::handle_lost(const ContainerPtr& container, std::uint64_t run) {
    {
        auto state = container->state.lock();
        if (state->run != run || state->monitor == nullptr) {
            return;
        }
    }
    auto record = monitor::read_exit_record(core_.exit_path(container->id));
    monitor::Exited exit = killed_exit();
    if (record.ok() && *record) {
        exit = std::move(**record);
    } else {
        // Nothing of it may run any more when its end is told.
        log::warn("monitor is gone, ending its container", {{"id", container->id}});
        remove_abandoned(*container);
    }
    handle_exit(container, run, exit);
}

void ContainerRunner::schedule_restart(const ContainerPtr& container, std::uint64_t run) {
    std::int64_t delay = first_delay_ms;
    {
        auto state = container->state.lock();
        const ContainerState& shown = state->life.state;
        if (state->restart_delay_ms != 0 &&
            shown.finished_at.seconds() - shown.started_at.seconds() < steady_run_seconds) {
            delay = std::min(state->restart_delay_ms * 2, longest_delay_ms);
        }
        state->restart_delay_ms = delay;
    }
    core_.after(milliseconds(delay), [this, container, run] {
        core_.in_starts([this, container, run] { restart_now(container, run); });
    });
}

void ContainerRunner::restart_now(const ContainerPtr& container, std::uint64_t run) {
    {
        auto state = container->state.lock();
        if (state->run != run || state->life.state.status != ContainerStatus::Restarting ||
            core_.stopping) {
            return;
        }
        ++state->life.restart_count;
    }
    start_again(container);
}

void ContainerRunner::start_again(const ContainerPtr& container) {
    if (auto started = start(container); !started.ok()) {
        log::warn(
            "container not restarted",
            {{"id", container->id}, {"error", started.error().message()}});
    }
}

bool ContainerRunner::cancel_restart(LiveContainer& container) {
    std::vector<ExitCallback> waiting;
    std::int64_t exit_code = 0;
    {
        auto state = container.state.lock();
        if (state->life.state.status != ContainerStatus::Restarting) {
            return false;
        }
        state->life.state.status = ContainerStatus::Exited;
        ++state->run;
        exit_code = state->life.state.exit_code;
        waiting = take_waiters(*state, false);
    }
    for (const ExitCallback& callback : waiting) {
        callback({.exit_code = exit_code, .error = {}});
    }
    return true;
}

} // namespace berth::engine
