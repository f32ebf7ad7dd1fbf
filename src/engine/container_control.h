// SPDX-License-Identifier: Apache-2.0
// What is done to containers that are there: stop, kill, pause, rename, update, remove. Waits for
// exits here block the caller, within the timeouts that the calls name.
#pragma once

#include "engine/container_runner.h"
#include "engine/core.h"

#include <chrono>
#include <memory>
#include <optional>

namespace berth::engine {

class ContainerControl {
  public:
    ContainerControl(Core& core, ContainerRunner& runner, ExecTable& execs)
        : core_(core)
        , runner_(runner)
        , execs_(execs) {}

    Result<void> stop(
        const ContainerPtr& container,
        std::optional<std::int64_t> timeout,
        const std::string& signal);
    Result<void> restart(
        const ContainerPtr& container,
        std::optional<std::int64_t> timeout,
        const std::string& signal);
    Result<void> kill(const ContainerPtr& container, const std::string& signal);
    Result<void> pause(const ContainerPtr& container);
    Result<void> unpause(const ContainerPtr& container);
    // Pauses a running container until the result is gone; one that does not run, or is paused
    // already, stays as it is. REQUIRES: the caller holds its `operation`.
    Result<std::shared_ptr<void>> freeze_for_work(const ContainerPtr& container);
    Result<void> rename(const ContainerPtr& container, const std::string& new_name);
    Result<void> remove(const ContainerPtr& container, const RemoveOptions& options);
    Result<void> resize(const ContainerPtr& container, std::uint32_t height, std::uint32_t width);
    Result<std::vector<std::string>>
    update(const ContainerPtr& container, const UpdateRequest& request);

    // For a run that has become unhealthy: it ends and begins again where its restart policy says
    // so.
    void end_unhealthy(const ContainerPtr& container, std::uint64_t run);

    // For a daemon that ends: restart policies stay in force.
    Result<void> stop_for_shutdown(const ContainerPtr& container, std::chrono::seconds limit);

    Subscription
    on_exit(const ContainerPtr& container, WaitCondition condition, ExitCallback callback);

  private:
    // A start that is under way is over then: it does not wait for a file server any more.
    void call_start_off(LiveContainer& container);
    Result<std::shared_ptr<monitor::MonitorClient>> running_monitor(LiveContainer& container);
    // REQUIRES: `operation` is held.
    Result<void> freeze(LiveContainer& container);
    Result<void> thaw(LiveContainer& container);
    Result<void> signal(LiveContainer& container, int number);
    // False when the time is over; nullopt waits for ever.
    bool
    wait_for_exit(const ContainerPtr& container, std::optional<std::chrono::milliseconds> timeout);
    Result<void> end(const ContainerPtr& container, int first_signal, std::int64_t seconds);
    Result<void> kill_and_wait(const ContainerPtr& container);
    Result<void> begin_remove(const ContainerPtr& container, const std::string& name, bool force);
    void delete_behind(LiveContainer& container);

    Core& core_;
    ContainerRunner& runner_;
    ExecTable& execs_;
};

} // namespace berth::engine
