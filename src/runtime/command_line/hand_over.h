// SPDX-License-Identifier: Apache-2.0
// What a caller gets of a new process: its terminal and its pidfd over unix sockets, its id in a
// file.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/command_line/commands.h"

#include <sys/types.h>

namespace berth::runtime::command_line {

// runc's rules for --console-socket, --detach and process.terminal.
Result<void> check_console_flags(bool terminal, bool detached, const std::string& socket);

// --console-socket (when `terminal` is not empty and the flag is given), --pidfd-socket,
// --pid-file.
Result<void> hand_over(const Flags& flags, FdRef pidfd, const UniqueFd& terminal, pid_t pid);

// --preserve-fds and the descriptors of systemd's socket activation.
// InvalidArgument for more than the caller has opened: descriptors of ours would be in their place.
Result<int> preserved_fds(const Globals& globals, const Flags& flags);

} // namespace berth::runtime::command_line
