// SPDX-License-Identifier: Apache-2.0
// Monitors that were started ahead of demand. The start of a program, with its libraries and its
// first page faults, is a tenth of the start of a container, and nothing in it depends on which
// container that will be: a spare monitor waits for the message Launch, which says what others
// learn from their command line. It goes with its engine.
#pragma once

#include "base/result.h"
#include "base/stock.h"
#include "base/unique_fd.h"
#include "kernel/process.h"
#include "monitor/monitor_options.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::monitor {

// Numbers of descriptors in each monitor.
inline constexpr int monitor_control_fd = 3; // connected to the engine
inline constexpr int listener_fd = 4;
// Until it has its container (then it is the listener's).
inline constexpr int spare_bell_fd = listener_fd;

struct StartedMonitor {
    kernel::Child child; // killed unless released
    UniqueFd control;
    // An eventfd(2) of a spare one, rung after each message: a message by itself would wake it on
    // the processor of the engine's thread, which has more to do.
    UniqueFd bell;
};

// Tells a spare monitor which group its container will be in. Nothing is lost where this fails.
void expect(const StartedMonitor& spare, const std::string& cgroup_path);
// Gives a spare monitor its container.
Result<void> give(
    const StartedMonitor& spare,
    const std::vector<std::string>& arguments,
    std::span<const int> descriptors);
// The group that was made for a container which did not come to be.
void remove_expected(const std::string& cgroup_path);

// `fds`: ours, and the monitor's number for it.
Result<StartedMonitor> spawn_monitor(
    const std::string& program,
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<int, int>>& fds);

// Thread-safe.
class SpareMonitors {
  public:
    struct Options {
        std::string program;
        std::size_t count = 0;
        Later later;
    };

    // The first ones come by themselves. Ends those that wait when it goes.
    explicit SpareMonitors(Options options);

    // Nothing when none is ready. Another will be started soon.
    std::optional<StartedMonitor> take() { return stock_.take(); }

  private:
    Stock<StartedMonitor> stock_;
};

// In a monitor that was started without a container (its first argument is spare_flag): waits until
// it gets one, and puts the descriptors to their numbers. nullopt when the engine is gone.
// `command_line` is the one of main, which then shows what it would have been.
inline constexpr std::string_view spare_flag = "--spare";
Result<std::optional<MonitorOptions>> await_launch(std::span<char* const> command_line);

} // namespace berth::monitor
