// SPDX-License-Identifier: Apache-2.0
// Where the last lines of a log begin, found from its end backwards.
#pragma once

#include <cstdint>
#include <string>

namespace berth::io {

struct LogPosition {
    std::uint64_t file = 0;   // number; 0: there is none yet
    std::uint64_t offset = 0; // of a record in the file
    std::size_t skip = 0;     // bytes of that record's body
};

// The position of the first of the last `lines` lines; the oldest record when there are fewer.
LogPosition find_log_tail(const std::string& directory, std::uint64_t lines);

} // namespace berth::io
