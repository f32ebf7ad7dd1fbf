// SPDX-License-Identifier: Apache-2.0
// berth-monitor: the parent of one container. Started by the engine, not by people.
#include "base/log.h"
#include "monitor/monitor.h"

#include <cstdlib>
#include <string>

namespace {

berth::Result<void> run(std::span<const char* const> arguments) {
    berth::monitor::MonitorOptions options = TRY(berth::monitor::parse_arguments(arguments));
    TRY(berth::monitor::become_monitor());
    TRY(berth::monitor::Monitor::create(std::move(options)))->run();
    return berth::ok();
}

} // namespace

int main(int argc, char** argv) {
    const auto result = run({argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)});
    if (!result.ok()) {
        berth::log::error("berth-monitor failed", {{"error", result.error().message()}});
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
