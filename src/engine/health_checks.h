// SPDX-License-Identifier: Apache-2.0
// Health checks: a probe runs in the container at intervals, and its exit code makes the container
// healthy or unhealthy. Thread-safe.
#pragma once

#include "engine/core.h"

#include <functional>

namespace berth::engine {

class ExecTable;

class HealthChecks {
  public:
    HealthChecks(Core& core, ExecTable& execs)
        : core_(core)
        , execs_(execs) {}

    // Called when a container is, or still is, unhealthy; may wait for its end.
    using Unhealthy = std::function<void(const ContainerPtr&, std::uint64_t run)>;

    void set_unhealthy(Unhealthy unhealthy) { unhealthy_ = std::move(unhealthy); }

    static bool has_check(const ContainerConfig& config);

    // The state of a container that starts: "starting", or nothing without a check.
    static std::optional<Health> initial(const ContainerConfig& config);

    // The first probe after the interval; each one plans the next while this run lasts.
    void begin(const ContainerPtr& container, std::uint64_t run);

  private:
    void plan(const ContainerPtr& container, std::uint64_t run);
    void probe(const ContainerPtr& container, std::uint64_t run);
    HealthResult run_probe(const ContainerPtr& container, const HealthConfig& check);
    void record(const ContainerPtr& container, std::uint64_t run, HealthResult result);

    Core& core_;
    ExecTable& execs_;
    Unhealthy unhealthy_;
};

} // namespace berth::engine
