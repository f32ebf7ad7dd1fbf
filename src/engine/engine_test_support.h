// SPDX-License-Identifier: Apache-2.0
// Engines in namespaces of their own: nothing of a test reaches the machine, and what it leaves
// dies with its pid namespace.
#pragma once

#include "engine/engine.h"

#include <functional>
#include <string>

namespace berth::engine {

// Runs the body in a forked process that is pid 1 of new pid, mount, network, ipc and uts
// namespaces. True when it returned and no expectation in it failed.
bool run_isolated(const std::function<void()>& body);

// A data root and an exec root in the body's own mount namespace.
struct TestEngine {
    // The directory stays between two engines of one body.
    explicit TestEngine(std::string directory);

    EngineOptions options() const;
    // With busybox:latest in the store, made from the machine's static busybox.
    std::unique_ptr<Engine> open();

    std::string root;
    std::string bridge = "bt0";
};

// A container that runs `sh -c script` in network mode none.
CreateRequest shell_request(const std::string& script, const std::string& name = {});

// Creates, starts, waits; the exit code.
std::int64_t run_to_end(Engine& engine, CreateRequest request);

// Everything in the container's log.
std::string log_text(Engine& engine, const std::string& container);

} // namespace berth::engine
