// SPDX-License-Identifier: Apache-2.0
// The terminal of a process: allocated in the container's own devpts, so that its name means the
// same thing inside.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/runtime_process.h"

#include <optional>

namespace berth::runtime {

struct Console {
    UniqueFd master;
    UniqueFd slave;
};

// `root`: where the container's root is. The multiplexer is opened below it and must be one of a
// devpts.
Result<Console> open_console(const UniqueFd& root, const std::optional<oci::ConsoleSize>& size);

// The slave at /dev/console (a bind mount on the file, which is made).
Result<void> bind_console(const UniqueFd& root, const Console& console);

// The calling session's leader gets the terminal as its controlling one and as 0, 1, 2.
Result<void> use_console(const Console& console);

} // namespace berth::runtime
