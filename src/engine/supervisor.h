// SPDX-License-Identifier: Apache-2.0
// The parts that deal with containers, wired together. The services in containers.h, execs.h and
// networks.h are faces of it.
#pragma once

#include "engine/container_commit.h"
#include "engine/container_control.h"
#include "engine/container_creator.h"
#include "engine/container_reader.h"
#include "engine/container_runner.h"
#include "engine/core.h"
#include "engine/exec_table.h"
#include "engine/health_checks.h"
#include "engine/late_mounts.h"

namespace berth::engine {

class ContainerSupervisor {
  public:
    explicit ContainerSupervisor(Core& shared_core)
        : core(shared_core)
        , execs(shared_core)
        , health(shared_core, execs)
        , runner(shared_core, execs, health)
        , creator(shared_core)
        , control(shared_core, runner, execs)
        , late_mounts(shared_core, control)
        , committer(shared_core, control)
        , reader(shared_core) {}

    // Loads the containers of the last run, finds their monitors, sweeps what half-made or
    // half-removed ones left. `records` are all rows.
    Result<void> restore(std::vector<ContainerRecord> records);

    // Of an engine that ends: no start waits for a file server any more.
    void call_starts_off();

    // Stops everything in parallel.
    void stop_all(std::chrono::seconds limit);

    Core& core;
    ExecTable execs;
    HealthChecks health;
    ContainerRunner runner;
    ContainerCreator creator;
    ContainerControl control;
    LateMounts late_mounts;
    ContainerCommitter committer;
    ContainerReader reader;

  private:
    void reconnect_all();
    struct Turns;
    void settle_in_order();
    void settle_each(const std::shared_ptr<Turns>& turns, const std::vector<std::size_t>& numbers);
    void settle(const ContainerPtr& container);

    struct Leftovers;
    Leftovers find_leftovers() const;
    void sweep(const Leftovers& leftovers);
};

} // namespace berth::engine
