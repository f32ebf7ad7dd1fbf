// SPDX-License-Identifier: Apache-2.0
// Structured logging: a constant message and fields. The default sink writes one line to stderr;
// a program may install another (base/log_spdlog.h). All functions are thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace berth::log {

enum class Level : std::uint8_t { Debug, Info, Warn, Error };

std::string_view to_string(Level level);

// "debug", "info", "warn" or "warning", "error", "fatal" (taken as error); nullopt for anything
// else.
std::optional<Level> parse_level(std::string_view name);

struct Field {
    std::string_view key;
    std::string value;

    Field(std::string_view field_key, std::string_view field_value)
        : key(field_key)
        , value(field_value) {}

    Field(std::string_view field_key, std::integral auto number)
        : key(field_key)
        , value(std::to_string(number)) {}
};

using Fields = std::initializer_list<Field>;
using Sink = void (*)(Level level, std::string_view message, std::span<const Field> fields);

// The level below which nothing reaches the sink; Info at start.
void set_level(Level level);
Level level();
void set_sink(Sink sink);

void write(Level level, std::string_view message, Fields fields = {});

// dockerd's line without the newline: time="…" level=… msg="…" key=value.
std::string format_line(Level level, std::string_view message, std::span<const Field> fields);

inline void debug(std::string_view message, Fields fields = {}) {
    write(Level::Debug, message, fields);
}

inline void info(std::string_view message, Fields fields = {}) {
    write(Level::Info, message, fields);
}

inline void warn(std::string_view message, Fields fields = {}) {
    write(Level::Warn, message, fields);
}

inline void error(std::string_view message, Fields fields = {}) {
    write(Level::Error, message, fields);
}

} // namespace berth::log
