// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/stop.go, kill.go, pause.go and rename.go, with their words.
#include "engine/container_control.h"

#include "base/log.h"
#include "base/strings.h"
#include "engine/exec_table.h"
#include "engine/names.h"
#include "engine/signals.h"

#include <condition_variable>
#include <csignal>

namespace berth::engine {
namespace {

constexpr std::int64_t default_stop_timeout = 10; // seconds
// After SIGKILL only a process in uninterruptible sleep is left.
constexpr std::chrono::milliseconds kill_patience{10'000};

Error not_running(const LiveContainer& container) {
    return conflict("container " + container.id + " is not running");
}

int stop_signal_of(const ContainerDefinition& definition) {
    const std::string& text = definition.config.stop_signal;
    return text.empty() ? SIGTERM : parse_signal(text).value_or(SIGTERM);
}

std::int64_t
stop_timeout_of(const ContainerDefinition& definition, std::optional<std::int64_t> asked) {
    return asked ? *asked : definition.config.stop_timeout.value_or(default_stop_timeout);
}

// Of a waiter; its end takes the waiter away.
Subscription wait_of(const ContainerPtr& container, std::uint64_t id) {
    return Subscription([weak = std::weak_ptr(container), id] {
        if (auto target = weak.lock()) {
            ExitCallback doomed; // destroyed outside of the lock
            auto state = target->state.lock();
            std::erase_if(state->waiters, [&](Waiter& waiter) {
                if (waiter.id == id) {
                    doomed = std::move(waiter.callback);
                    return true;
                }
                return false;
            });
        }
    });
}

} // namespace

Result<std::shared_ptr<monitor::MonitorClient>>
ContainerControl::running_monitor(LiveContainer& container) {
    auto state = container.state.lock();
    TRY(check_in_reach(*state));
    if (!state->life.state.is_running() || state->monitor == nullptr) {
        return not_running(container);
    }
    return state->monitor;
}

void ContainerControl::call_start_off(LiveContainer& container) {
    {
        auto state = container.state.lock();
        if (state->transition != Transition::Starting) {
            return;
        }
        state->start_stop.request_stop();
    }
    const std::lock_guard start_is_over(container.operation);
}

Subscription ContainerControl::on_exit(
    const ContainerPtr& container, WaitCondition condition, ExitCallback callback) {
    ExitResult over;
    {
        auto state = container->state.lock();
        const ContainerState& shown = state->life.state;
        const bool is_over = condition == WaitCondition::NotRunning && !shown.is_running() &&
                             shown.status != ContainerStatus::Restarting &&
                             state->transition == Transition::None;
        if (!state->removed && !is_over) {
            const std::uint64_t id = state->next_waiter++;
            state->waiters.push_back({id, condition, std::move(callback)});
            return wait_of(container, id);
        }
        over = ExitResult{.exit_code = shown.exit_code, .error = {}};
    }
    callback(over);
    return Subscription();
}

bool ContainerControl::wait_for_exit(
    const ContainerPtr& container, std::optional<std::chrono::milliseconds> timeout) {
    struct Shared {
        std::mutex mutex;
        std::condition_variable changed;
        bool ended = false;
    };

    auto shared = std::make_shared<Shared>();
    const Subscription waiting =
        on_exit(container, WaitCondition::NotRunning, [shared](const ExitResult&) {
            const std::lock_guard lock(shared->mutex);
            shared->ended = true;
            shared->changed.notify_all();
        });
    std::unique_lock lock(shared->mutex);
    const auto ended = [&] { return shared->ended; };
    if (!timeout) {
        shared->changed.wait(lock, ended);
        return true;
    }
    return shared->changed.wait_for(lock, *timeout, ended);
}

Result<void> ContainerControl::signal(LiveContainer& container, int number) {
    auto client = TRY(running_monitor(container));
    auto sent = client->signal("", number);
    if (!sent.ok() && sent.error().kind() != ErrorKind::NotFound) {
        return sent;
    }
    const ContainerView view = view_of(container);
    core_.publish(*view.definition, "kill", {{"signal", std::to_string(number)}});
    if (view.life.state.status == ContainerStatus::Paused) {
        // A frozen process takes no signal: the pause ends with it.
        TRY(client->resume());
        container.state.lock()->life.state.status = ContainerStatus::Running;
    }
    return ok();
}

Result<void>
ContainerControl::end(const ContainerPtr& container, int first_signal, std::int64_t seconds) {
    auto sent = signal(*container, first_signal);
    if (!sent.ok() && sent.error().kind() != ErrorKind::Conflict) {
        return sent;
    }
    std::optional<std::chrono::milliseconds> patience;
    if (seconds >= 0) {
        patience = std::chrono::seconds(seconds);
    }
    if (wait_for_exit(container, patience)) {
        return ok();
    }
    log::info("container did not stop in time, killing it", {{"id", container->id}});
    return kill_and_wait(container);
}

Result<void> ContainerControl::kill_and_wait(const ContainerPtr& container) {
    auto sent = signal(*container, SIGKILL);
    // Unavailable: the monitor has died, and the container dies with it.
    if (!sent.ok() && sent.error().kind() != ErrorKind::Conflict &&
        sent.error().kind() != ErrorKind::Unavailable) {
        return sent;
    }
    if (!wait_for_exit(container, kill_patience)) {
        return Error(
            ErrorKind::DeadlineExceeded,
            "container " + container->id + " PID did not exit within 10s of SIGKILL");
    }
    return ok();
}

Result<void> ContainerControl::stop(
    const ContainerPtr& container, std::optional<std::int64_t> timeout, const std::string& signal) {
    std::shared_ptr<const ContainerDefinition> definition;
    bool was_restarting = false;
    call_start_off(*container);
    {
        auto state = container->state.lock();
        definition = state->definition;
        was_restarting = state->life.state.status == ContainerStatus::Restarting;
        if (!state->life.state.is_running() && !was_restarting &&
            state->transition == Transition::None) {
            return Error(ErrorKind::NotModified, "container already stopped");
        }
    }
    const int number = signal.empty() ? stop_signal_of(*definition) : TRY(parse_signal(signal));
    container->state.lock()->life.stopped_by_user = true;
    // Durable: after a power cut an unless-stopped container must stay stopped.
    core_.persist(*container, store::Durability::Durable);
    if (was_restarting && runner_.cancel_restart(*container)) {
        core_.persist(*container, store::Durability::Cache);
    } else {
        auto ended = end(container, number, stop_timeout_of(*definition, timeout));
        if (!ended.ok()) {
            return std::move(ended).error().with_context("cannot stop container: " + container->id);
        }
    }
    core_.publish(*definition, "stop");
    return ok();
}

Result<void>
ContainerControl::stop_for_shutdown(const ContainerPtr& container, std::chrono::seconds limit) {
    const ContainerView view = view_of(*container);
    if (!view.life.state.is_running()) {
        return ok();
    }
    const std::int64_t seconds =
        std::min<std::int64_t>(stop_timeout_of(*view.definition, std::nullopt), limit.count());
    return end(container, stop_signal_of(*view.definition), seconds);
}

// Ends as a stop does, but for the mark that somebody wanted it to stay stopped; what is unhealthy
// as it ends is started again (ContainerRunner::end_run).
void ContainerControl::end_unhealthy(const ContainerPtr& container, std::uint64_t run) {
    std::shared_ptr<const ContainerDefinition> definition;
    {
        auto state = container->state.lock();
        const RestartPolicy& policy = state->definition->host_config.restart_policy;
        if (state->run != run || state->life.state.status != ContainerStatus::Running ||
            state->life.stopped_by_user || core_.stopping || state->unhealthy_run == run ||
            policy.name != restart_on_unhealthy || !may_restart_again(policy, state->life)) {
            return;
        }
        state->unhealthy_run = run;
        definition = state->definition;
    }
    log::info("container is unhealthy, restarting it", {{"id", container->id}});
    auto ended =
        end(container, stop_signal_of(*definition), stop_timeout_of(*definition, std::nullopt));
    if (!ended.ok()) {
        log::warn(
            "unhealthy container not ended",
            {{"id", container->id}, {"error", ended.error().message()}});
        container->state.lock()->unhealthy_run = 0; // the next probe tries again
    }
}

Result<void> ContainerControl::restart(
    const ContainerPtr& container, std::optional<std::int64_t> timeout, const std::string& signal) {
    auto stopped = stop(container, timeout, signal);
    if (!stopped.ok() && stopped.error().kind() != ErrorKind::NotModified) {
        return std::move(stopped).error().with_context("Cannot restart container " + container->id);
    }
    TRY(runner_.start(container));
    core_.publish(*view_of(*container).definition, "restart");
    return ok();
}

Result<void> ContainerControl::kill(const ContainerPtr& container, const std::string& signal) {
    const int number = signal.empty() ? SIGKILL : TRY(parse_signal(signal));
    call_start_off(*container);
    const ContainerView view = view_of(*container);
    if (runner_.cancel_restart(*container)) {
        container->state.lock()->life.stopped_by_user = true;
        core_.persist(*container, store::Durability::Durable);
        return ok();
    }
    if (!view.life.state.is_running()) {
        return not_running(*container);
    }
    if (number == SIGKILL || number == stop_signal_of(*view.definition)) {
        container->state.lock()->life.stopped_by_user = true;
    }
    return number == SIGKILL ? kill_and_wait(container) : this->signal(*container, number);
}

Result<void> ContainerControl::freeze(LiveContainer& container) {
    const ContainerView view = view_of(container);
    switch (view.life.state.status) {
    case ContainerStatus::Paused:
        return conflict("Container " + container.id + " is already paused");
    case ContainerStatus::Restarting:
        return conflict(
            "container " + container.id + " is restarting, wait until the container is running");
    case ContainerStatus::Created:
    case ContainerStatus::Running:
    case ContainerStatus::Removing:
    case ContainerStatus::Exited:
    case ContainerStatus::Dead:
        break;
    }
    auto client = TRY(running_monitor(container));
    TRY(client->pause());
    {
        auto state = container.state.lock();
        if (state->life.state.is_running()) {
            state->life.state.status = ContainerStatus::Paused;
        }
    }
    core_.persist(container, store::Durability::Cache);
    core_.publish(*view.definition, "pause");
    return ok();
}

Result<void> ContainerControl::thaw(LiveContainer& container) {
    const ContainerView view = view_of(container);
    if (view.life.state.status != ContainerStatus::Paused) {
        return conflict("Container " + container.id + " is not paused");
    }
    auto client = TRY(running_monitor(container));
    ++container.state.lock()->thaws;
    TRY(client->resume());
    {
        auto state = container.state.lock();
        if (state->life.state.is_running()) {
            state->life.state.status = ContainerStatus::Running;
        }
    }
    core_.persist(container, store::Durability::Cache);
    core_.publish(*view.definition, "unpause");
    return ok();
}

Result<void> ContainerControl::pause(const ContainerPtr& container) {
    const std::lock_guard operation(container->operation);
    return freeze(*container);
}

Result<void> ContainerControl::unpause(const ContainerPtr& container) {
    const std::lock_guard operation(container->operation);
    return thaw(*container);
}

// The mark is on disk before the container stands still: whoever finds it resumes.
Result<std::shared_ptr<void>> ContainerControl::freeze_for_work(const ContainerPtr& container) {
    if (view_of(*container).life.state.status != ContainerStatus::Running) {
        return std::shared_ptr<void>();
    }
    container->state.lock()->life.frozen_for_work = true;
    core_.persist(*container, store::Durability::Cache);
    auto guard = std::shared_ptr<void>(nullptr, [this, container](void*) {
        container->state.lock()->life.frozen_for_work = false;
        const auto resumed = thaw(*container);
        if (!resumed.ok() && resumed.error().kind() != ErrorKind::Conflict) {
            log::error(
                "container stays paused after a commit",
                {{"id", container->id}, {"error", resumed.error().message()}});
        }
        core_.persist(*container, store::Durability::Cache);
    });
    // A Conflict: it ended meanwhile.
    if (auto frozen = freeze(*container);
        !frozen.ok() && frozen.error().kind() != ErrorKind::Conflict) {
        return std::move(frozen).error().with_context("cannot pause container " + container->id);
    }
    return guard;
}

Result<void> ContainerControl::rename(const ContainerPtr& container, const std::string& new_name) {
    const std::lock_guard operation(container->operation);
    const std::string name = new_name.starts_with('/') ? new_name.substr(1) : new_name;
    if (name.empty()) {
        return invalid_argument("Neither old nor new names may be empty");
    }
    if (!is_valid_container_name(name)) {
        return invalid_argument(
            "Error when allocating new name: Invalid container name (/" + name + "), only " +
            std::string(container_name_rule) + " are allowed");
    }
    const ContainerView view = view_of(*container);
    const std::string old_name = view.definition->name;
    if (name == old_name) {
        return invalid_argument("Renaming a container with the same name as its current name");
    }
    TRY_CONTEXT(core_.index.reserve_name(name, container->id), "Error when allocating new name");
    auto renamed = std::make_shared<ContainerDefinition>(*view.definition);
    renamed->name = name;
    auto written = core_.table->update_definition(*renamed);
    if (!written.ok()) {
        core_.index.release_name(name);
        return written;
    }
    container->state.lock()->definition = renamed;
    core_.index.release_name(old_name);
    if (view.life.state.is_running()) {
        core_.announce(*renamed, view.life);
        if (container->state.lock()->monitor == nullptr) {
            // Its end may have been first: nobody else takes these names away.
            core_.network->disconnect(container->id, view.life.endpoints);
        }
    }
    core_.publish(*renamed, "rename", {{"oldName", "/" + old_name}});
    return ok();
}

Result<void>
ContainerControl::resize(const ContainerPtr& container, std::uint32_t height, std::uint32_t width) {
    auto client = TRY(running_monitor(*container));
    TRY(client->resize(
        "",
        {.rows = static_cast<std::uint16_t>(height),
         .columns = static_cast<std::uint16_t>(width)}));
    core_.publish(
        *view_of(*container).definition,
        "resize",
        {{"height", std::to_string(height)}, {"width", std::to_string(width)}});
    return ok();
}

} // namespace berth::engine
