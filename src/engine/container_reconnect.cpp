// SPDX-License-Identifier: Apache-2.0
// How an engine that was away finds its containers again: by their monitors, or by what those have
// left.
#include "base/file.h"
#include "base/log.h"
#include "base/poll.h"
#include "engine/container_logs.h"
#include "engine/container_runner.h"
#include "engine/exec_table.h"
#include "engine/link_renewal.h"
#include "runtime/state_file.h"

namespace berth::engine {
namespace {

constexpr int reach_attempts = 3;
constexpr std::chrono::milliseconds reach_interval{2000};
constexpr std::chrono::milliseconds end_interval{2};
constexpr std::chrono::seconds longest_end{5};

Result<runtime::StateRecord> runtime_record(const std::string& root, const std::string& id) {
    return TRY(runtime::StateDirectory::at(root, id)).read();
}

// Of a monitor that removes a container which was not started. It takes its socket away last: the
// container's next monitor would meet what is there until then, and lose its own socket to it.
void wait_for_end(const std::string& socket_path) {
    poll_until([&socket_path] { return !exists(socket_path); }, end_interval, longest_end);
}

} // namespace

// A monitor that ends just now hangs up; the next look finds its exit.json. NotFound when there is
// none; every other error means that one may be there.
Result<monitor::StatusReply> ContainerRunner::reach_monitor(
    const ContainerPtr& container,
    std::uint64_t run,
    std::shared_ptr<monitor::MonitorClient>& client) {
    for (int attempt = 1;; ++attempt) {
        client = TRY(monitor::MonitorClient::connect(
            core_.loop(), core_.socket_path(container->id), handlers(container, run)));
        auto reply = client->status();
        if (reply.ok()) {
            return reply->id == container->id ? std::move(reply)
                                              : not_found("a monitor of another container");
        }
        if (reply.error().kind() != ErrorKind::Unavailable || attempt == reach_attempts) {
            return reply;
        }
    }
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
    std::shared_ptr<monitor::MonitorClient> client;
    auto status = reach_monitor(container, run, client);
    // One that was created and not started ends with the engine that it was created by.
    const bool was_started = !status.ok() || status->phase != monitor::ContainerPhase::Created;
    if (!was_started) {
        status = not_found("the container was not started");
        client.reset(); // which ends the monitor
        wait_for_end(core_.socket_path(container->id));
    }
    if (status.ok() && status->phase != monitor::ContainerPhase::Exited) {
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
        if (status.ok()) {
            ContainerState& shown = state->life.state;
            state->monitor = client;
            shown.pid = status->pid;
            shown.status = status->phase == monitor::ContainerPhase::Paused
                               ? ContainerStatus::Paused
                               : ContainerStatus::Running;
            if (!std::exchange(state->out_of_reach, {}).empty()) {
                shown.error.clear();
            }
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
    if (status.ok()) {
        resume_frozen(container);
        log::info("container found running", {{"id", container->id}, {"pid", status->pid}});
        execs_.adopt(container, *status);
        renew_links(core_, *container);
        if (exit) {
            handle_exit(container, run, *exit);
        } else {
            health_.begin(container, run);
        }
    } else if (claims_to_run && !was_started) {
        abandon_start(*container);
    } else if (claims_to_run && status.error().kind() == ErrorKind::NotFound) {
        finish_absent(container, run);
    } else if (claims_to_run) {
        keep_out_of_reach(container, run, status.error());
    }
}

// A monitor is there, of another build or in trouble: its container runs on, whatever this engine
// understands of it. It is looked for again, and may have ended then.
void ContainerRunner::keep_out_of_reach(
    const ContainerPtr& container, std::uint64_t run, const Error& error) {
    {
        auto state = container->state.lock();
        if (state->out_of_reach.empty()) {
            log::error(
                "container runs on and cannot be managed",
                {{"id", container->id}, {"error", error.message()}});
        }
        state->out_of_reach = error.message();
        ContainerState& shown = state->life.state;
        shown.error = error.message();
        if (auto known = runtime_record(core_.runtime_root(), container->id); known.ok()) {
            shown.pid = known->pid;
        }
    }
    core_.after(reach_interval, [this, container, run] {
        {
            auto state = container->state.lock();
            if (state->run != run || state->removed || core_.stopping) {
                return;
            }
        }
        reconnect(container);
    });
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
    monitor::Exited exit = killed_exit();
    if (record.ok() && *record) {
        exit = std::move(**record);
    }
    remove_abandoned(*container);
    logs_->adopt(*view_of(*container).definition); // what is left of its log
    end_run(container, run, exit);
}

void ContainerRunner::restart_after_boot(const ContainerPtr& container) {
    {
        auto state = container->state.lock();
        ContainerLife& life = state->life;
        const RestartPolicy& policy = state->definition->host_config.restart_policy;
        const bool was_restarting = life.state.status == ContainerStatus::Restarting;
        const bool wanted =
            policy.name == "always" ||
            (!life.stopped_by_user &&
             wants_restart(policy, life, was_restarting ? Ended::Unhealthy : Ended::ByItself));
        const bool was_started = !life.state.started_at.is_zero();
        if (life.state.is_running() || !was_started || !wanted) {
            if (was_restarting) {
                life.state.status = ContainerStatus::Exited;
            }
            return;
        }
        life.restart_count += was_restarting ? 1 : 0; // as if its engine had not ended
    }
    start_again(container);
}

} // namespace berth::engine
