// SPDX-License-Identifier: Apache-2.0
// Files from a client's session: BuildKit's FileSync/DiffCopy with fsutil's packets. The client
// lists what it has; we ask for the contents of each file and write them below a root of our own.
// Whatever it says is checked: a path is made of plain names below a directory it has listed
// before, so that nothing that it makes leads anywhere else.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "build/client_sessions.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::build {

struct FilesWanted {
    std::string directory; // of the client's: "context", "dockerfile"
    std::vector<std::string> include;
    std::vector<std::string> exclude; // as in .dockerignore
    std::vector<std::string> follow;  // paths whose links are followed, and nothing else is sent
};

struct FilesLimits {
    std::uint64_t bytes = 256ULL << 30;
    std::size_t entries = 4'000'000;
};

// `received` gets the bytes so far, now and then. root is an empty directory that nobody else
// writes to.
Result<void> receive_files(
    const std::stop_token& stop,
    ClientSession& session,
    const FilesWanted& wanted,
    FdRef root,
    const FilesLimits& limits,
    const std::function<void(std::uint64_t bytes)>& received);

} // namespace berth::build
