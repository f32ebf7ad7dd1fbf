// SPDX-License-Identifier: Apache-2.0
// The lines of Docker's json-file: {"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}.
#pragma once

#include "base/time.h"
#include "io/stream_multiplexer.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace berth::io {

// As Docker writes a string: <, > and & too are escaped, and what is no UTF-8 becomes \ufffd.
void append_json_text(std::string& out, std::string_view text);

// One after the other; `tail` is what follows the text, see json_log_tail().
void append_json_log_line(
    std::string& out, std::string_view text, bool has_feed, std::string_view tail);

// ","stream":"stdout","attrs":{…},"time":"…"} and a line feed. attributes: an object, or empty.
std::string json_log_tail(Stream stream, std::string_view attributes, Timestamp time);

struct JsonLogLine {
    Stream stream = Stream::Stdout;
    Timestamp time;
    std::string_view text; // at the end of what it was appended to
};

// Reads lines, in whatever order their members come. Lines that were read from the container at one
// time differ in their text only: what stands behind it is read once.
class JsonLogParser {
  public:
    // Appends the text. nullopt, and nothing appended, for what is no such line: a torn end, or
    // something that others wrote.
    std::optional<JsonLogLine> parse(std::string_view line, std::string& text);

  private:
    std::optional<JsonLogLine> parse_whole(std::string_view line, std::string& text);

    std::string tail_; // behind a text
    JsonLogLine tail_line_;
};

} // namespace berth::io
