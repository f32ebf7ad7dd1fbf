// SPDX-License-Identifier: Apache-2.0
// berthd as a process: its place, its pid file, its limits and its signals.
#pragma once

#include "base/result.h"
#include "engine/daemon_config.h"

#include <csignal>
#include <string>
#include <string_view>

namespace berth::bin {

// Where the helper programs lie: beside this one in a build, else in <prefix>/libexec/berth of
// <prefix>/bin.
std::string program_directory();

// Conflict while the process that the file names is running.
Result<void> write_pid_file(const std::string& path);

// Puts the configured proxies into the environment, where whatever downloads looks for them, as
// dockerd does. REQUIRES: no thread was started.
void set_proxies(const engine::DaemonConfig& config);

// Memory arenas, open files and signals; the signals that end or reload the daemon, blocked.
// REQUIRES: no thread was started, since threads inherit what is blocked.
sigset_t prepare_process();

// Tells systemd, where it wants to know (Type=notify): "READY=1", "RELOADING=1", "STOPPING=1".
void notify_system(std::string_view state);

} // namespace berth::bin
