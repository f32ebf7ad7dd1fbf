// SPDX-License-Identifier: Apache-2.0
// Hooks: programs of the host's administrator that run at fixed points of a container's life.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md#posix-platform-hooks
#pragma once

#include "base/result.h"
#include "oci/runtime_config.h"
#include "runtime/state.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

// InvalidArgument for a path that is not absolute and for a timeout that is none; named by their
// place ("hooks.prestart[0].path").
Result<void> check_hooks(const oci::Hooks& hooks);

struct HookRun {
    std::string_view kind; // the list's name in config.json
    const State& state;    // goes to their standard input
    std::string directory; // where they run: the bundle, or "/" of the container
};

// One after the other, with exactly the environment that the configuration gives them
// (CVE-2025-23266: never the container's or ours). The first that fails or takes longer than its
// timeout (it is killed then, with what it started) ends the list with an error that has the hook's
// last words.
Result<void> run_hooks(const std::vector<oci::Hook>& hooks, const HookRun& run);

// The same, but a failure is logged and the next one runs.
void run_all_hooks(const std::vector<oci::Hook>& hooks, const HookRun& run);

} // namespace berth::runtime
