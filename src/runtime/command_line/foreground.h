// SPDX-License-Identifier: Apache-2.0
// `run` and `exec` without --detach: this process stands for the container's one.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/runtime_process.h"

#include <optional>

#include <sys/types.h>

namespace berth::runtime::command_line {

class Foreground {
  public:
    // From here on signals wait for stand_for(): made before the process, so that none is lost and
    // none ends us while the process is already there.
    static Result<Foreground> create();

    // Passes signals on, copies between the terminal (when there is one) and our own standard
    // streams, waits. The result is the exit status as a shell shows it.
    Result<int> stand_for(pid_t pid, UniqueFd terminal);

    // Gives the terminal our own one's size, before its program can ask for it.
    static void match_size(const UniqueFd& terminal);
    // Our own terminal's size; nullopt without one.
    static std::optional<oci::ConsoleSize> own_size();

  private:
    explicit Foreground(UniqueFd signals)
        : signals_(std::move(signals)) {}

    UniqueFd signals_;
};

} // namespace berth::runtime::command_line
