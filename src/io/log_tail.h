// SPDX-License-Identifier: Apache-2.0
// Where the last lines of a log begin, found from its end backwards.
#pragma once

#include "io/log_cursor.h"
#include "io/log_format.h"

#include <cstdint>
#include <string>

namespace berth::io {

// The position of the first of the last `lines` lines; the oldest record when there are fewer.
LogPosition
find_log_tail(const std::string& directory, std::uint64_t lines, const Decompress& decompress = {});

} // namespace berth::io
