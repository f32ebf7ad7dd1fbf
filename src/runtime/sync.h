// SPDX-License-Identifier: Apache-2.0
// What a new process in a container and its creator say to each other over a socket pair: errors,
// "run the hooks now", "ready".
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>

namespace berth::runtime {

enum class SyncKind : char {
    Error = 'E', // from the child; the error follows
    Hooks = 'H', // from the child: namespaces are there, run prestart and createRuntime hooks
    Ready = 'R', // from the child: all is set up; may carry the terminal
    Go = 'G',    // from the creator: go on
};

struct SyncMessage {
    SyncKind kind = SyncKind::Error;
    UniqueFd terminal;
};

Result<void> send_sync(FdRef socket, SyncKind kind, const UniqueFd& terminal = UniqueFd());
void send_sync_error(FdRef socket, const Error& error);

// An Error message is returned as that error. A closed socket is Unavailable.
Result<SyncMessage> receive_sync(FdRef socket);

} // namespace berth::runtime
