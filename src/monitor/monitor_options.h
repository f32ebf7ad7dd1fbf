// SPDX-License-Identifier: Apache-2.0
// The command line of berth-monitor: written by MonitorClient::launch, read by the program.
#pragma once

#include "base/result.h"
#include "io/log_output.h"
#include "kernel/cgroup.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace berth::monitor {

struct MonitorOptions {
    std::string id;
    std::string bundle;
    std::string runtime_root;
    std::string socket_path;
    std::string exit_path;
    std::optional<io::LogOptions> log;
    bool systemd_cgroup = false;
    bool terminal = false;
    bool open_stdin = false;
    bool stdin_once = false;
    std::optional<int> control_fd;      // a connected socket of the engine that starts the monitor
    std::optional<int> listener_fd;     // listens at socket_path; absent: the monitor makes it
    std::vector<int> inherited_fds;     // closed once the container is created
    std::optional<int> empty_mounts_fd; // one of them: runtime::CreateOptions::empty_mounts
    // Not of the command line: made already for the container to come (Expect).
    std::optional<kernel::Cgroup> cgroup;
};

// Without the program's name.
std::vector<std::string> to_arguments(const MonitorOptions& options);
Result<MonitorOptions> parse_arguments(std::span<const char* const> arguments);

} // namespace berth::monitor
