// SPDX-License-Identifier: Apache-2.0
// Lines of json-file: whatever stands there is read or not, and what is written is read back.
#include "io/json_log_format.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    namespace io = berth::io;
    const std::string bytes(data, data + size);
    io::JsonLogParser parser;
    std::string read;
    (void)parser.parse(bytes, read);
    read.clear();
    const berth::Timestamp time = berth::Timestamp::from_seconds(1);
    std::string line;
    io::append_json_log_line(line, bytes, true, io::json_log_tail(io::Stream::Stderr, "", time));
    line.pop_back(); // the line feed
    const auto parsed = parser.parse(line, read);
    if (!parsed || parsed->stream != io::Stream::Stderr || parsed->time != time ||
        !parsed->text.ends_with('\n') || line.find('\n') != std::string::npos) {
        std::abort();
    }
    // What was UTF-8 is the same; what was not has become U+FFFD once, and stays so.
    const std::string text(parsed->text.substr(0, parsed->text.size() - 1));
    std::string again;
    io::append_json_log_line(again, text, true, io::json_log_tail(io::Stream::Stderr, "", time));
    const auto second =
        io::parse_json_log_line(std::string_view(again).substr(0, again.size() - 1), scratch);
    if (!second || second->text.substr(0, second->text.size() - 1) != text) {
        std::abort();
    }
    return 0;
}
