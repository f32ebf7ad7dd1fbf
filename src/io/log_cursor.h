// SPDX-License-Identifier: Apache-2.0
// How far a log of records has been handed on to another place: kept beside the files, so that who
// comes after a killed engine goes on there, and the writer knows which files are still wanted.
#pragma once

#include "base/result.h"
#include "base/time.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace berth::io {

struct LogPosition {
    std::uint64_t file = 0;   // number; 0: there is none yet
    std::uint64_t offset = 0; // of a record in the file
    std::size_t skip = 0;     // bytes of that record's body

    bool operator==(const LogPosition&) const = default;
};

struct LogCursor {
    // The beginning of a line whose end is behind the position.
    struct Piece {
        Timestamp time;            // of the line's first byte
        std::uint32_t ordinal = 0; // pieces of the line that were handed on already
        std::string text;

        bool operator==(const Piece&) const = default;
    };

    LogPosition position;
    std::array<Piece, 2> pieces; // of stdout and stderr

    bool operator==(const LogCursor&) const = default;
};

// nullopt where there is none, or none that can be read.
std::optional<LogCursor> load_log_cursor(const std::string& directory);

// Replaces the file as a whole: a killed process leaves the old one or the new one.
Result<void> save_log_cursor(const std::string& directory, const LogCursor& cursor);

} // namespace berth::io
