// SPDX-License-Identifier: Apache-2.0
// Questions to the server of a network file system, which may never answer. Who asks sleeps in the
// kernel and wakes for nothing but an answer or its own death: a thread of a program that has other
// things to do cannot be had back. So a process is sent, which can be killed.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <chrono>
#include <stop_token>
#include <string>

namespace berth::kernel {

struct ServerQuestions {
    // The one that is sent: answers with answer_server_question() (server_answer.h). Empty: nobody,
    // the caller asks himself and has no end but the answer.
    std::string program{};
    std::chrono::milliseconds patience = std::chrono::seconds(60);
};

// create_file_system() of mount.h. DeadlineExceeded when no answer came in time, Cancelled when the
// stop came first; otherwise the kernel's error.
Result<void> create_file_system_within(
    const ServerQuestions& questions, FdRef context, const std::stop_token& stop);

// Whether the server of what is mounted at the path answers. Errors as above.
Result<void> reach_server_within(
    const ServerQuestions& questions, const std::string& path, const std::stop_token& stop);

} // namespace berth::kernel
