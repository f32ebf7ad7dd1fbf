// SPDX-License-Identifier: Apache-2.0
// Log levels and the default sink: logfmt on stderr, as dockerd writes it.
#include "base/log.h"

#include "base/time.h"

#include <atomic>

#include <unistd.h>

namespace berth::log {

namespace {

void append_quoted(std::string& line, std::string_view value) {
    bool plain = !value.empty();
    for (char c : value) {
        plain = plain && c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
    }
    if (plain) {
        line += value;
        return;
    }
    line += '"';
    for (char c : value) {
        if (c == '"' || c == '\\') {
            line += '\\';
            line += c;
        } else if (c == '\n') {
            line += "\\n";
        } else if (static_cast<unsigned char>(c) < ' ') {
            line += '?';
        } else {
            line += c;
        }
    }
    line += '"';
}

void stderr_sink(Level level, std::string_view message, std::span<const Field> fields) {
    std::string line = format_line(level, message, fields) + '\n';
    // One write a line keeps lines of several threads and processes whole.
    [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

std::atomic<Level> current_level{Level::Info};
std::atomic<Sink> current_sink{&stderr_sink};

} // namespace

std::string_view to_string(Level level) {
    switch (level) {
    case Level::Debug:
        return "debug";
    case Level::Info:
        return "info";
    case Level::Warn:
        return "warning";
    case Level::Error:
        return "error";
    }
    return "unknown";
}

std::optional<Level> parse_level(std::string_view name) {
    if (name == "debug" || name == "trace") {
        return Level::Debug;
    }
    if (name == "info") {
        return Level::Info;
    }
    if (name == "warn" || name == "warning") {
        return Level::Warn;
    }
    if (name == "error" || name == "fatal" || name == "panic") {
        return Level::Error;
    }
    return std::nullopt;
}

void set_level(Level level) {
    current_level = level;
}

Level level() {
    return current_level;
}

void set_sink(Sink sink) {
    current_sink = sink;
}

std::string format_line(Level level, std::string_view message, std::span<const Field> fields) {
    std::string line = "time=\"" + format_rfc3339_fixed(Timestamp::now()) + "\" level=";
    line += to_string(level);
    line += " msg=";
    append_quoted(line, message);
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        append_quoted(line, field.value);
    }
    return line;
}

void write(Level level, std::string_view message, Fields fields) {
    if (level < current_level.load(std::memory_order_relaxed)) {
        return;
    }
    current_sink.load()(level, message, std::span(fields.begin(), fields.size()));
}

} // namespace berth::log
