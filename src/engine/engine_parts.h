// SPDX-License-Identifier: Apache-2.0
// What an engine owns. For its own files alone.
#pragma once

#include "engine/container_logs.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/supervisor.h"

#include <memory>

namespace berth::engine {

struct Engine::Parts {
    Core core;
    std::unique_ptr<ContainerSupervisor> supervisor;
    std::unique_ptr<Containers> containers;
    std::unique_ptr<Execs> execs;
    std::unique_ptr<Networks> networks;
    std::unique_ptr<System> system;

    ~Parts() {
        core.collector.reset();
        if (supervisor) {
            supervisor->runner.logs().close();
        }
        if (core.background && core.probes) {
            core.close();
        }
        for (const ContainerPtr& container : core.index.all()) {
            const auto client = std::move(container->state.lock()->monitor);
        }
        core.loop_thread.reset();
    }
};

} // namespace berth::engine
