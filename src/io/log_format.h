// SPDX-License-Identifier: Apache-2.0
// The bytes of a log record, docs/formats/log.md: header, body, footer. Shared by writer and
// reader.
#pragma once

#include "base/time.h"
#include "base/unique_fd.h"
#include "io/stream_multiplexer.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::io {

inline constexpr std::size_t log_header_size = 16;
inline constexpr std::size_t log_footer_size = 4;

struct LogRecordHeader {
    Timestamp time;
    std::uint32_t length = 0;
    Stream stream = Stream::Stdout;
    bool begins_line = true; // the body's first byte is the first of a line on its stream
};

std::array<char, log_header_size> encode_log_header(const LogRecordHeader& header);

// nullopt when the check does not fit or a field is out of range.
std::optional<LogRecordHeader> decode_log_header(std::string_view bytes);

std::array<char, log_footer_size> encode_log_footer(std::uint32_t length);
std::uint32_t decode_log_footer(std::string_view bytes);

// The record that ends at `end`, if one does.
std::optional<LogRecordHeader> log_record_before(FdRef fd, std::uint64_t end);

// Where the last whole record ends. A file ends with a whole record unless its writer or the
// machine died in the middle of one; only then the file is read from its beginning.
std::uint64_t end_of_log_records(FdRef fd, std::uint64_t size);

std::string log_file_path(const std::string& directory, std::uint64_t number);

// Of a file that was compressed after its rotation.
std::string compressed_log_path(const std::string& directory, std::uint64_t number);

using Decompress = std::function<Result<UniqueFd>(UniqueFd compressed)>;

// Either form, as plain bytes. nullopt when there is neither, or nothing to decompress with.
Result<std::optional<UniqueFd>>
open_log_file(const std::string& directory, std::uint64_t number, const Decompress& decompress);

// Either form.
bool log_file_exists(const std::string& directory, std::uint64_t number);
void remove_log_file(const std::string& directory, std::uint64_t number);

// Numbers of the files in a directory, ascending; empty when there is no directory.
std::vector<std::uint64_t> log_file_numbers(const std::string& directory);

} // namespace berth::io
