// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/moby/blob/master/daemon/logger/copier.go cuts where its buffer of 16 KiB
// is full and has no line feed; so a line of exactly that size is one part and an empty last one.
#include "io/log_lines.h"

#include <algorithm>
#include <string>
#include <utility>

namespace berth::io {
namespace {

void hand_out(
    Stream stream,
    LogCursor::Piece& piece,
    std::string_view text,
    bool is_last,
    const LogLines::Handler& handler) {
    const bool is_partial = !is_last || piece.ordinal > 0;
    handler(
        {.stream = stream,
         .time = piece.time,
         .text = text,
         .is_partial = is_partial,
         .is_last = is_last,
         .ordinal = is_partial ? ++piece.ordinal : 0});
    if (is_last) {
        piece.ordinal = 0;
    }
}

} // namespace

void LogLines::add(Stream stream, Timestamp time, std::string_view bytes, const Handler& handler) {
    LogCursor::Piece& held = piece(stream);
    while (!bytes.empty()) {
        if (held.text.empty() && held.ordinal == 0) {
            held.time = time;
        }
        const std::size_t room = log_line_limit - held.text.size();
        const std::string_view window = bytes.substr(0, room);
        const std::size_t feed = window.find('\n');
        const bool is_line = feed != std::string_view::npos;
        const std::string_view text = is_line ? window.substr(0, feed) : window;
        bytes.remove_prefix(is_line ? feed + 1 : window.size());
        if (!is_line && window.size() < room) {
            held.text += text;
            return;
        }
        if (held.text.empty()) {
            hand_out(stream, held, text, is_line, handler);
        } else {
            held.text += text;
            const std::string whole = std::exchange(held.text, std::string());
            hand_out(stream, held, whole, is_line, handler);
        }
    }
}

void LogLines::finish(Stream stream, const Handler& handler) {
    LogCursor::Piece& held = piece(stream);
    if (!held.text.empty()) {
        const std::string whole = std::exchange(held.text, std::string());
        hand_out(stream, held, whole, false, handler);
    }
    held.ordinal = 0;
}

} // namespace berth::io
