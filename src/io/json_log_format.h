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
    std::string_view text; // in `scratch` of parse_json_log_line, or in the line
};

// nullopt for what is no such line: a torn end, or something that others wrote. In whatever order
// the members come.
std::optional<JsonLogLine> parse_json_log_line(std::string_view line, std::string& scratch);

} // namespace berth::io
