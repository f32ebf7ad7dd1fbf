// SPDX-License-Identifier: Apache-2.0
// What a new process in a container and its creator say to each other over a socket pair: errors,
// "run the hooks now", "take my listener", "ready".
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>

namespace berth::runtime {

enum class SyncKind : char {
    Error = 'E',    // from the child; the error follows
    Hooks = 'H',    // from the child: namespaces are there, run prestart and createRuntime hooks
    Ready = 'R',    // from the child: all is set up; may carry the terminal
    Go = 'G',       // from the creator: go on
    Listener = 'L', // from the child: take my seccomp listener
};

struct SyncMessage {
    SyncKind kind = SyncKind::Error;
    UniqueFd descriptor; // of Ready: the terminal
    int listener = -1;   // number of the descriptor in the child
};

Result<void> send_sync(FdRef socket, SyncKind kind, const UniqueFd& descriptor = UniqueFd());
void send_sync_error(FdRef socket, const Error& error);

// Tells the creator of the descriptor and waits until it has taken it. Only write(2) and read(2)
// are called: the filter is in force already.
Result<void> offer_listener(FdRef socket, const UniqueFd& listener);

// An Error message is returned as that error. A closed socket is an error for which
// is_end_of_sync() holds.
Result<SyncMessage> receive_sync(FdRef socket);
bool is_end_of_sync(const Error& error);

} // namespace berth::runtime
