// SPDX-License-Identifier: Apache-2.0
// berth-monitor: the parent of one container. Started by the engine, not by people; also as the one
// that asks a file server, which may never answer.
#include "base/log.h"
#include "kernel/server_answer.h"
#include "monitor/monitor.h"
#include "monitor/spare_monitors.h"

#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>

namespace {

using berth::monitor::MonitorOptions;

// nullopt: it is not needed.
berth::Result<std::optional<MonitorOptions>> options_from(std::span<char* const> command_line) {
    if (command_line.size() > 1 && command_line[1] == berth::monitor::spare_flag) {
        return berth::monitor::await_launch(command_line);
    }
    const std::span<const char* const> arguments(command_line);
    return std::optional(
        TRY(berth::monitor::parse_arguments(arguments.subspan(arguments.empty() ? 0 : 1))));
}

berth::Result<void> run(std::span<char* const> command_line) {
    TRY(berth::monitor::become_monitor());
    std::optional<MonitorOptions> options = TRY(options_from(command_line));
    if (options) {
        TRY(berth::monitor::Monitor::create(*std::move(options)))->run();
    }
    return berth::ok();
}

} // namespace

int main(int argc, char** argv) {
    const std::span<char* const> command_line(argv, static_cast<std::size_t>(argc));
    const std::span<const char* const> arguments(command_line);
    if (const auto answered =
            berth::kernel::answer_server_question(arguments.subspan(argc > 0 ? 1 : 0))) {
        return *answered;
    }
    const auto result = run(command_line);
    if (!result.ok()) {
        berth::log::error("berth-monitor failed", {{"error", result.error().message()}});
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
