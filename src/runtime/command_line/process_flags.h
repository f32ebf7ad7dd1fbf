// SPDX-License-Identifier: Apache-2.0
// What `exec` shall run: --process FILE, or the container's own process with changes by flags.
#pragma once

#include "oci/runtime_process.h"
#include "runtime/command_line/flags.h"
#include "runtime/container.h"

#include <array>

namespace berth::runtime::command_line {

inline constexpr auto exec_flags = std::to_array<FlagSpec>(
    {{"console-socket", "", FlagKind::Value},
     {"pidfd-socket", "", FlagKind::Value},
     {"cwd", "", FlagKind::Value},
     {"env", "e", FlagKind::Value},
     {"tty", "t", FlagKind::Switch},
     {"user", "u", FlagKind::Value},
     {"additional-gids", "g", FlagKind::Value},
     {"process", "p", FlagKind::Value},
     {"detach", "d", FlagKind::Switch},
     {"pid-file", "", FlagKind::Value},
     {"process-label", "", FlagKind::Value},
     {"apparmor", "", FlagKind::Value},
     {"no-new-privs", "", FlagKind::Switch},
     {"cap", "c", FlagKind::Value},
     {"preserve-fds", "", FlagKind::Value},
     {"cgroup", "", FlagKind::Value},
     {"ignore-paused", "", FlagKind::Switch}});

Result<oci::Process> exec_process(const Container& container, const Flags& flags);

// "1000" or "1000:100": numbers only. CVE-2026-30892: "1" is uid 1 and never anything else.
Result<oci::User> parse_numeric_user(std::string_view text);

} // namespace berth::runtime::command_line
