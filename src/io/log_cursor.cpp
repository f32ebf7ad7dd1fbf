// SPDX-License-Identifier: Apache-2.0
// The cursor's bytes, docs/formats/log.md: fixed fields, the two pieces, a check over all.
#include "io/log_cursor.h"

#include "base/file.h"

#include <string_view>

namespace berth::io {
namespace {

constexpr std::string_view magic = "BLC1";
constexpr std::size_t check_size = 8;
constexpr std::size_t size_limit = 1U << 20;

void put(std::string& out, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        out += static_cast<char>(value >> (8 * i) & 0xffU);
    }
}

// Takes what it gives off the front; zero and an empty rest when too little is left.
std::uint64_t take(std::string_view& bytes, std::size_t size) {
    if (bytes.size() < size) {
        bytes = {};
        return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = size; i > 0; --i) {
        value = value << 8U | static_cast<unsigned char>(bytes[i - 1]);
    }
    bytes.remove_prefix(size);
    return value;
}

std::uint64_t cursor_check(std::string_view bytes) {
    std::uint64_t hash = 14695981039346656037U; // FNV-1a
    for (const char byte : bytes) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211U;
    }
    return hash;
}

std::string cursor_path(const std::string& directory) {
    return directory + "/cursor";
}

} // namespace

std::optional<LogCursor> load_log_cursor(const std::string& directory) {
    const Result<std::string> text = read_file(cursor_path(directory), size_limit);
    if (!text.ok() || !text.value().starts_with(magic) ||
        text.value().size() < magic.size() + check_size) {
        return std::nullopt;
    }
    std::string_view bytes = text.value();
    std::string_view check = bytes.substr(bytes.size() - check_size);
    bytes.remove_suffix(check_size);
    if (take(check, check_size) != cursor_check(bytes)) {
        return std::nullopt;
    }
    bytes.remove_prefix(magic.size());
    LogCursor cursor;
    cursor.position.file = take(bytes, 8);
    cursor.position.offset = take(bytes, 8);
    cursor.position.skip = static_cast<std::size_t>(take(bytes, 8));
    for (LogCursor::Piece& piece : cursor.pieces) {
        piece.time.nanoseconds = static_cast<std::int64_t>(take(bytes, 8));
        piece.ordinal = static_cast<std::uint32_t>(take(bytes, 4));
        const std::size_t size = take(bytes, 4);
        if (size > bytes.size()) {
            return std::nullopt;
        }
        piece.text = bytes.substr(0, size);
        bytes.remove_prefix(size);
    }
    return cursor;
}

Result<void> save_log_cursor(const std::string& directory, const LogCursor& cursor) {
    std::string bytes(magic);
    put(bytes, cursor.position.file, 8);
    put(bytes, cursor.position.offset, 8);
    put(bytes, cursor.position.skip, 8);
    for (const LogCursor::Piece& piece : cursor.pieces) {
        put(bytes, static_cast<std::uint64_t>(piece.time.nanoseconds), 8);
        put(bytes, piece.ordinal, 4);
        put(bytes, piece.text.size(), 4);
        bytes += piece.text;
    }
    put(bytes, cursor_check(bytes), check_size);
    // Without a sync: a power cut sends the last lines once more.
    return replace_file(cursor_path(directory), bytes, 0600, Sync::No);
}

} // namespace berth::io
