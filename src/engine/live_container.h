// SPDX-License-Identifier: Apache-2.0
// A container in the engine's memory: its record, its monitor while it runs, and who waits for it.
#pragma once

#include "base/synchronized.h"
#include "engine/container_record.h"
#include "engine/containers.h"
#include "io/event_loop.h"
#include "monitor/client.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::engine {

struct Waiter {
    std::uint64_t id = 0;
    WaitCondition condition = WaitCondition::NotRunning;
    ExitCallback callback;
};

// What start() does not want to be disturbed by, and what came meanwhile.
enum class Transition : std::uint8_t { None, Starting };

struct LiveState {
    std::shared_ptr<const ContainerDefinition> definition;
    ContainerLife life;
    std::shared_ptr<monitor::MonitorClient> monitor; // while a monitor is there
    // That has told the exit and takes away what is left, until ContainerRunner::see_off().
    std::shared_ptr<monitor::MonitorClient> leaving;
    std::string out_of_reach; // why a running container's monitor cannot be spoken to
    Transition transition = Transition::None;
    // Ends a start's wait for a file server; a new one for each start.
    std::stop_source start_stop;
    // Counts starts: a notice that belongs to an earlier run is dropped.
    std::uint64_t run = 0;
    // An exit that was told while start() was still at work; it is handled after.
    std::optional<monitor::Exited> early_exit;
    std::vector<Waiter> waiters;
    std::uint64_t next_waiter = 1;
    std::vector<monitor::AttachRequest> parked; // clients that came before the start
    std::vector<std::string> exec_ids;
    std::uint64_t thaws = 0;           // ends of pauses: who waited meanwhile waited too long
    std::uint64_t unhealthy_run = 0;   // the run that is being ended for its health
    std::int64_t restart_delay_ms = 0; // of the last automatic restart
    bool removed = false;
};

// Locking: `operation` is held for a whole start, remove, rename, pause or update, across blocking
// calls: it is what makes those wait for each other. `state` is held only to look and to change.
// The handling of exits takes `state` and then, when everybody has been told, `departure`, so an
// operation may wait for an exit.
struct LiveContainer {
    explicit LiveContainer(ContainerRecord record) {
        auto locked = state.lock();
        id = record.definition->id;
        locked->definition = std::move(record.definition);
        locked->life = std::move(record.life);
    }

    std::string id;
    std::mutex operation;
    std::mutex departure; // of a monitor: held while it is waited for
    Synchronized<LiveState> state;
};

using ContainerPtr = std::shared_ptr<LiveContainer>;

// A consistent copy of what most readers need.
struct ContainerView {
    std::shared_ptr<const ContainerDefinition> definition;
    ContainerLife life;
    std::vector<std::string> exec_ids;
};

ContainerView view_of(LiveContainer& container);

// NotImplemented when its monitor runs and cannot be spoken to.
Result<void> check_in_reach(const LiveState& state);

} // namespace berth::engine
