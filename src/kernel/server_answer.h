// SPDX-License-Identifier: Apache-2.0
// What the process does that asks a server, and how it is told to: see server_question.h.
#pragma once

#include "base/result.h"

#include <optional>
#include <span>
#include <string>

namespace berth::kernel {

constexpr const char* create_word = "--create-file-system"; // of the context that it has as
constexpr int context_fd = 3;                               // this descriptor
constexpr const char* reach_word = "--reach-server";        // of what is mounted at a path

// For the program's main(), with its arguments without its name: its exit code, where it was sent.
std::optional<int> answer_server_question(std::span<const char* const> arguments);

// Asks the server that the file system at the path is of.
Result<void> reach_server(const std::string& path);

} // namespace berth::kernel
