// SPDX-License-Identifier: Apache-2.0
// How a run ends: the exit is stored, waiters are told, the restart policy decides. And how an
// engine that was away finds its containers again.
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

constexpr std::int32_t killed_exit_code = 128 + SIGKILL;

bool wants_restart(const HostConfig& host_config, const ContainerLife& life) {
    const RestartPolicy& policy = host_config.restart_policy;
    if (policy.name == "on-failure") {
        return life.state.exit_code != 0 &&
               (policy.maximum_retry_count == 0 || life.restart_count < policy.maximum_retry_count);
    }
    return policy.name == "always" || policy.name == "unless-stopped";
}

} // namespace

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

void ContainerRunner::handle_exit(
    const ContainerPtr& container, std::uint64_t run, const monitor::Exited& exit) {
    std::shared_ptr<monitor::MonitorClient> client;
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
        client = std::move(state->monitor);
        state->monitor.reset();
    }
    end_run(container, run, exit, std::move(client));
}

void ContainerRunner::end_run(
    const ContainerPtr& container,
    std::uint64_t run,
    const monitor::Exited& exit,
    std::shared_ptr<monitor::MonitorClient> client) {
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

    bool restarts = false;
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
        if (shown.health && shown.health->status != "none") {
            shown.health->status = "unhealthy";
        }
        restarts = !state->life.stopped_by_user && !core_.stopping &&
                   wants_restart(definition->host_config, state->life);
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
    clean_up(*definition, std::move(client));
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

// After everybody was told: taking an overlay down can sync what it wrote.
void ContainerRunner::clean_up(
    const ContainerDefinition& definition, std::shared_ptr<monitor::MonitorClient> client) {
    if (client) {
        auto released = client->release();
        if (!released.ok()) {
            log::debug("monitor went by itself", {{"id", definition.id}});
        }
        client.reset();
    }
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
    monitor::Exited exit{.code = killed_exit_code, .signal = SIGKILL, .time = Timestamp::now()};
    if (record.ok() && *record) {
        exit = std::move(**record);
    } else {
        log::warn("monitor is gone, ending its container", {{"id", container->id}});
        auto removed = monitor::remove_abandoned(core_.runtime_root(), container->id);
        if (!removed.ok()) {
            log::error(
                "abandoned container not removed, ignoring",
                {{"id", container->id}, {"error", removed.error().message()}});
        }
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

void ContainerRunner::reconnect(const ContainerPtr& container) {
    std::uint64_t run = 0;
    bool claims_to_run = false;
    {
        auto state = container->state.lock();
        run = ++state->run;
        claims_to_run = state->life.state.is_running();
        // Until it is known how things are, notices wait.
        state->transition = Transition::Starting;
    }
    auto client = monitor::MonitorClient::connect(
        core_.loop(), core_.socket_path(container->id), handlers(container, run));
    std::optional<monitor::StatusReply> status;
    bool was_started = true;
    if (client.ok()) {
        auto reply = (*client)->status();
        if (reply.ok() && reply->id == container->id) {
            // One that was created and not started ends with the engine that it was created by.
            was_started = reply->phase != monitor::ContainerPhase::Created;
            if (was_started) {
                status = std::move(reply).value();
            }
        }
    }
    if (status && status->phase != monitor::ContainerPhase::Exited) {
        // While its exit would still wait.
        ContainerView view = view_of(*container);
        view.life.state.pid = status->pid;
        core_.announce(*view.definition, view.life);
        logs_->adopt(*view.definition);
    }
    std::optional<monitor::Exited> exit;
    {
        auto state = container->state.lock();
        state->transition = Transition::None;
        exit = std::exchange(state->early_exit, std::nullopt);
        if (status) {
            ContainerState& shown = state->life.state;
            state->monitor = *client;
            shown.pid = status->pid;
            shown.status = status->phase == monitor::ContainerPhase::Paused
                               ? ContainerStatus::Paused
                               : ContainerStatus::Running;
            if (shown.started_at.is_zero()) {
                shown.started_at = status->started;
            }
            if (status->phase == monitor::ContainerPhase::Exited && !exit) {
                exit = status->exit;
            }
        } else if (claims_to_run) {
            exit.reset();
        }
    }
    if (status) {
        resume_frozen(container);
        log::info("container found running", {{"id", container->id}, {"pid", status->pid}});
        execs_.adopt(container, *status);
        renew_links(core_, *container);
        if (exit) {
            handle_exit(container, run, *exit);
        } else {
            health_.begin(container, run);
        }
    } else if (claims_to_run && was_started) {
        finish_absent(container, run);
    } else if (claims_to_run) {
        abandon_start(*container);
    }
}

// The engine before was killed while it worked on the files of a container that it had paused.
void ContainerRunner::resume_frozen(const ContainerPtr& container) {
    std::shared_ptr<monitor::MonitorClient> client;
    {
        auto state = container->state.lock();
        if (!std::exchange(state->life.frozen_for_work, false)) {
            return;
        }
        client = state->monitor;
    }
    if (auto resumed = client->resume(); !resumed.ok()) {
        log::warn(
            "paused container not resumed, ignoring",
            {{"id", container->id}, {"error", resumed.error().message()}});
        return;
    }
    {
        auto state = container->state.lock();
        if (state->life.state.status == ContainerStatus::Paused) {
            state->life.state.status = ContainerStatus::Running;
        }
    }
    core_.persist(*container, store::Durability::Cache);
}

// The row says "running" and there is no monitor: it ended while no engine was there.
void ContainerRunner::finish_absent(const ContainerPtr& container, std::uint64_t run) {
    auto record = monitor::read_exit_record(core_.exit_path(container->id));
    monitor::Exited exit{.code = killed_exit_code, .signal = SIGKILL, .time = Timestamp::now()};
    if (record.ok() && *record) {
        exit = std::move(**record);
    }
    auto removed = monitor::remove_abandoned(core_.runtime_root(), container->id);
    if (!removed.ok()) {
        log::error("abandoned container not removed, ignoring", {{"id", container->id}});
    }
    logs_->adopt(*view_of(*container).definition); // what is left of its log
    end_run(container, run, exit, nullptr);
}

void ContainerRunner::restart_after_boot(const ContainerPtr& container) {
    {
        auto state = container->state.lock();
        const ContainerLife& life = state->life;
        const std::string& policy = state->definition->host_config.restart_policy.name;
        const bool wanted =
            policy == "always" ||
            (!life.stopped_by_user && wants_restart(state->definition->host_config, life));
        const bool was_started = !life.state.started_at.is_zero();
        if (life.state.is_running() || !was_started || !wanted) {
            if (life.state.status == ContainerStatus::Restarting) {
                state->life.state.status = ContainerStatus::Exited;
            }
            return;
        }
    }
    core_.in_starts([this, container] { start_again(container); });
}

} // namespace berth::engine
