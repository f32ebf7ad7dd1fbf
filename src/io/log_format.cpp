// SPDX-License-Identifier: Apache-2.0
// Log records' bytes, little-endian whatever the machine is.
#include "io/log_format.h"

#include "base/file.h"
#include "base/strings.h"
#include "io/log_file.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace berth::io {
namespace {

constexpr std::string_view file_prefix = "log.";
constexpr std::string_view compressed_suffix = ".gz";
constexpr std::uint8_t begins_line_flag = 1;
constexpr std::size_t check_offset = 14;

void put(char* out, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = static_cast<char>(value >> (8 * i) & 0xffU);
    }
}

std::uint64_t get(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i > 0; --i) {
        value = value << 8U | static_cast<unsigned char>(bytes[i - 1]);
    }
    return value;
}

// FNV-1a folded to 16 bits: tells a header from text, zeros and the middle of a record. Never 0 for
// a header of zeros, which is what a file system leaves after a power cut.
std::uint16_t header_check(std::string_view bytes) {
    std::uint32_t hash = 2166136261U;
    for (const char byte : bytes) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
    }
    return static_cast<std::uint16_t>(hash ^ hash >> 16U);
}

bool read_exactly(FdRef fd, std::uint64_t offset, char* out, std::size_t size) {
    const ssize_t count = pread(fd.get(), out, size, static_cast<off_t>(offset));
    return count >= 0 && static_cast<std::size_t>(count) == size;
}

} // namespace

std::array<char, log_header_size> encode_log_header(const LogRecordHeader& header) {
    std::array<char, log_header_size> bytes{};
    put(bytes.data(), static_cast<std::uint64_t>(header.time.nanoseconds), 8);
    put(bytes.data() + 8, header.length, 4);
    bytes[12] = static_cast<char>(header.stream);
    bytes[13] = static_cast<char>(header.begins_line ? begins_line_flag : 0);
    put(bytes.data() + check_offset, header_check({bytes.data(), check_offset}), 2);
    return bytes;
}

std::optional<LogRecordHeader> decode_log_header(std::string_view bytes) {
    if (bytes.size() < log_header_size ||
        get(bytes.substr(check_offset, 2)) != header_check(bytes.substr(0, check_offset))) {
        return std::nullopt;
    }
    LogRecordHeader header;
    header.time.nanoseconds = static_cast<std::int64_t>(get(bytes.substr(0, 8)));
    header.length = static_cast<std::uint32_t>(get(bytes.substr(8, 4)));
    const auto stream = static_cast<unsigned char>(bytes[12]);
    const auto flags = static_cast<unsigned char>(bytes[13]);
    if (header.length > log_record_limit || stream > static_cast<unsigned char>(Stream::Stderr)) {
        return std::nullopt;
    }
    header.stream = Stream{stream};
    header.begins_line = (flags & begins_line_flag) != 0;
    return header;
}

std::array<char, log_footer_size> encode_log_footer(std::uint32_t length) {
    std::array<char, log_footer_size> bytes{};
    put(bytes.data(), length, log_footer_size);
    return bytes;
}

std::uint32_t decode_log_footer(std::string_view bytes) {
    return static_cast<std::uint32_t>(get(bytes.substr(0, log_footer_size)));
}

std::optional<LogRecordHeader> log_record_before(FdRef fd, std::uint64_t end) {
    std::array<char, log_footer_size> footer{};
    std::array<char, log_header_size> bytes{};
    if (end < log_header_size + log_footer_size ||
        !read_exactly(fd, end - log_footer_size, footer.data(), footer.size())) {
        return std::nullopt;
    }
    const std::uint32_t length = decode_log_footer({footer.data(), footer.size()});
    const std::uint64_t whole = log_header_size + length + log_footer_size;
    if (whole > end || !read_exactly(fd, end - whole, bytes.data(), bytes.size())) {
        return std::nullopt;
    }
    const auto header = decode_log_header({bytes.data(), bytes.size()});
    return header && header->length == length ? header : std::nullopt;
}

std::uint64_t end_of_log_records(FdRef fd, std::uint64_t size) {
    if (size == 0 || log_record_before(fd, size)) {
        return size;
    }
    std::uint64_t end = 0;
    std::array<char, log_header_size> bytes{};
    while (read_exactly(fd, end, bytes.data(), bytes.size())) {
        const auto header = decode_log_header({bytes.data(), bytes.size()});
        const std::uint64_t next =
            header ? end + log_header_size + header->length + log_footer_size : 0;
        if (!header || next > size || !log_record_before(fd, next)) {
            break;
        }
        end = next;
    }
    return end;
}

std::string log_file_path(const std::string& directory, std::uint64_t number) {
    return directory + "/" + std::string(file_prefix) + std::to_string(number);
}

std::string compressed_log_path(const std::string& directory, std::uint64_t number) {
    return log_file_path(directory, number) + std::string(compressed_suffix);
}

Result<std::optional<UniqueFd>>
open_log_file(const std::string& directory, std::uint64_t number, const Decompress& decompress) {
    Result<UniqueFd> plain = open_file(log_file_path(directory, number), O_RDONLY);
    if (plain.ok()) {
        return std::optional(std::move(plain).value());
    }
    if (plain.error().error_number() != ENOENT) {
        return std::move(plain).error();
    }
    Result<UniqueFd> compressed = open_file(compressed_log_path(directory, number), O_RDONLY);
    if (!compressed.ok() || !decompress) {
        return std::optional<UniqueFd>();
    }
    return std::optional(TRY(decompress(std::move(compressed).value())));
}

bool log_file_exists(const std::string& directory, std::uint64_t number) {
    return exists(log_file_path(directory, number)) ||
           exists(compressed_log_path(directory, number));
}

void remove_log_file(const std::string& directory, std::uint64_t number) {
    (void)unlink(log_file_path(directory, number).c_str());
    (void)unlink(compressed_log_path(directory, number).c_str());
}

std::vector<std::uint64_t> log_file_numbers(const std::string& directory) {
    std::vector<std::uint64_t> numbers;
    const Result<std::vector<std::string>> names = list_directory(directory);
    if (!names.ok()) {
        return numbers;
    }
    for (std::string_view name : names.value()) {
        if (!name.starts_with(file_prefix)) {
            continue;
        }
        if (name.ends_with(compressed_suffix)) {
            name.remove_suffix(compressed_suffix.size());
        }
        const Result<std::uint64_t> number =
            parse_number<std::uint64_t>(name.substr(file_prefix.size()));
        if (number.ok()) {
            numbers.push_back(number.value());
        }
    }
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return numbers;
}

} // namespace berth::io
