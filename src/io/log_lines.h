// SPDX-License-Identifier: Apache-2.0
// Lines out of pieces of a container's output, as Docker cuts them: a line of more than 16 KiB
// comes in parts of that size.
#pragma once

#include "base/time.h"
#include "io/log_cursor.h"
#include "io/stream_multiplexer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace berth::io {

inline constexpr std::size_t log_line_limit = 16U << 10;

struct LogLine {
    Stream stream = Stream::Stdout;
    Timestamp time;            // when the line's first byte was read
    std::string_view text;     // without the line feed
    bool is_partial = false;   // a part of a line
    bool is_last = true;       // its last, with the line feed
    std::uint32_t ordinal = 0; // of a part: 1, 2, …
};

// Holds less than one part of each stream.
class LogLines {
  public:
    using Pieces = std::array<LogCursor::Piece, 2>;
    using Handler = std::function<void(const LogLine&)>;

    void add(Stream stream, Timestamp time, std::string_view bytes, const Handler& handler);

    // What there is of a last line, as a part without an end.
    void finish(Stream stream, const Handler& handler);

    const Pieces& pieces() const { return pieces_; }

    void restore(const Pieces& pieces) { pieces_ = pieces; }

  private:
    LogCursor::Piece& piece(Stream stream) { return pieces_[stream == Stream::Stderr ? 1 : 0]; }

    Pieces pieces_;
};

} // namespace berth::io
