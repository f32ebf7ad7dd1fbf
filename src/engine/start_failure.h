// SPDX-License-Identifier: Apache-2.0
// What a process that the runtime could not start is told as: the exit code that its container or
// exec shows, and the error for the client, as moby's daemon/errors.go makes them of the words.
#pragma once

#include "base/error.h"

#include <cstdint>
#include <string_view>

namespace berth::engine {

struct StartFailure {
    std::int64_t exit_code;
    Error error; // InvalidArgument where the user's own words are to blame
};

StartFailure start_failure(Error error, std::string_view context);

} // namespace berth::engine
