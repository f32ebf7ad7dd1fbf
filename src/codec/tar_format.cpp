// SPDX-License-Identifier: Apache-2.0
// Numbers, checksums and pax records.
#include "codec/tar_format.h"

#include "base/strings.h"

#include <limits>

namespace berth::tar::format {

namespace {

constexpr std::int64_t second = 1'000'000'000;

// Two's complement, big endian; the first bit only marks the format.
Result<std::int64_t> base256(std::string_view bytes) {
    const bool negative = (static_cast<unsigned char>(bytes[0]) & 0x40U) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto byte = static_cast<unsigned char>(bytes[i]);
        if (i == 0) {
            byte = negative ? static_cast<unsigned char>(byte | 0x80U)
                            : static_cast<unsigned char>(byte & 0x7fU);
        }
        const std::uint64_t lost = value >> 56;
        if (lost != (negative ? 0xffU : 0U)) {
            return damaged("a base-256 number is too large");
        }
        value = value << 8 | byte;
    }
    if (((value >> 63) != 0) != negative) {
        return damaged("a base-256 number is too large");
    }
    return static_cast<std::int64_t>(value);
}

Result<void> add_sparse_record(
    PaxRecords& records, std::string_view key, std::string_view value, std::size_t limit) {
    auto number = parse_number<std::uint64_t>(value);
    if (!number.ok()) {
        return damaged("a sparse file's map");
    }
    if (key == "GNU.sparse.offset") {
        if (records.sparse_segments.size() >= limit) {
            return Error(
                ErrorKind::ResourceExhausted,
                "a sparse file in the archive exceeds the limit of " + std::to_string(limit) +
                    " segments");
        }
        records.sparse_segments.push_back({.offset = *number, .length = 0});
    } else if (records.sparse_segments.empty()) {
        return damaged("a sparse file's map");
    } else {
        records.sparse_segments.back().length = *number;
    }
    return ok();
}

// Names end at a NUL when they reach the kernel: one inside would let two readers see two names.
Result<void> check_record(std::string_view key, std::string_view value) {
    const bool is_text = key == "path" || key == "linkpath" || key == "uname" || key == "gname" ||
                         key == "GNU.sparse.name";
    if (key.find('\0') != std::string_view::npos ||
        (is_text && value.find('\0') != std::string_view::npos)) {
        return damaged("a pax record contains a NUL byte");
    }
    return ok();
}

} // namespace

Error damaged(std::string_view what) {
    return {ErrorKind::DataLoss, "invalid tar archive: " + std::string(what)};
}

std::string text_field(const Block& block, Range range) {
    const std::string_view text = field(block, range);
    return std::string(text.substr(0, text.find('\0')));
}

Result<std::int64_t> number_field(const Block& block, Range range) {
    std::string_view text = field(block, range);
    if ((static_cast<unsigned char>(text[0]) & 0x80U) != 0) {
        return base256(text);
    }
    const std::size_t first = text.find_first_not_of(std::string_view(" \0", 2));
    if (first == std::string_view::npos) {
        return 0;
    }
    text = text.substr(first);
    text = text.substr(0, text.find_first_of(std::string_view(" \0", 2)));
    auto number = parse_number<std::uint64_t>(text, 8);
    if (!number.ok() || *number > std::numeric_limits<std::int64_t>::max()) {
        return damaged("a header's number is not octal");
    }
    return static_cast<std::int64_t>(*number);
}

Sums header_sums(const Block& block) {
    Sums sums{.unsigned_sum = 0, .signed_sum = 0};
    for (std::size_t i = 0; i < block.size(); ++i) {
        const bool in_checksum = i >= checksum.offset && i < checksum.offset + checksum.length;
        const char byte = in_checksum ? ' ' : block[i];
        sums.unsigned_sum += static_cast<unsigned char>(byte);
        sums.signed_sum += static_cast<signed char>(byte);
    }
    return sums;
}

Result<void> parse_pax(std::string_view text, std::size_t segment_limit, PaxRecords& records) {
    while (!text.empty()) {
        const auto parts = cut(text, " ");
        const auto length = parse_number<std::size_t>(parts ? parts->before : std::string_view());
        if (!parts || !length.ok() || *length > text.size() || *length < parts->before.size() + 2 ||
            text[*length - 1] != '\n') {
            return damaged("a pax record");
        }
        const std::size_t start = parts->before.size() + 1;
        const auto record = cut(text.substr(start, *length - start - 1), "=");
        if (!record || record->before.empty()) {
            return damaged("a pax record");
        }
        text = text.substr(*length);
        TRY(check_record(record->before, record->after));
        if (record->before == "GNU.sparse.offset" || record->before == "GNU.sparse.numbytes") {
            TRY(add_sparse_record(records, record->before, record->after, segment_limit));
        } else if (record->after.empty() && !record->before.starts_with("SCHILY.xattr.")) {
            records.values.erase(std::string(record->before));
        } else {
            records.values[std::string(record->before)] = record->after;
        }
    }
    return ok();
}

std::string format_pax(const std::map<std::string, std::string>& records) {
    std::string text;
    for (const auto& [key, value] : records) {
        const std::size_t body = key.size() + value.size() + 3; // space, '=', newline
        // The length counts its own digits.
        std::size_t length = body + std::to_string(body).size();
        length = body + std::to_string(length).size();
        text += std::to_string(length) + " " + key + "=" + value + "\n";
    }
    return text;
}

Result<std::int64_t> parse_pax_time(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative) {
        text.remove_prefix(1);
    }
    const auto parts = cut(text, ".");
    const std::string_view whole = parts ? parts->before : text;
    std::string fraction(parts ? parts->after : std::string_view());
    if (fraction.find_first_not_of("0123456789") != std::string::npos) {
        return damaged("a pax time");
    }
    fraction.resize(9, '0');
    const auto seconds = parse_number<std::uint64_t>(whole);
    const auto nanoseconds = parse_number<std::int64_t>(fraction);
    if (!seconds.ok() || !nanoseconds.ok()) {
        return damaged("a pax time");
    }
    constexpr auto limit =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / second - 1);
    if (*seconds > limit) {
        return negative ? std::numeric_limits<std::int64_t>::min()
                        : std::numeric_limits<std::int64_t>::max();
    }
    const std::int64_t total = static_cast<std::int64_t>(*seconds) * second + *nanoseconds;
    return negative ? -total : total;
}

std::string format_pax_time(std::int64_t nanoseconds) {
    const bool negative = nanoseconds < 0;
    const auto magnitude = negative ? std::uint64_t{0} - static_cast<std::uint64_t>(nanoseconds)
                                    : static_cast<std::uint64_t>(nanoseconds);
    std::string text = (negative ? "-" : "") + std::to_string(magnitude / second);
    if (const std::uint64_t rest = magnitude % second; rest != 0) {
        std::string fraction = std::to_string(rest);
        fraction.insert(0, 9 - fraction.size(), '0');
        fraction.erase(fraction.find_last_not_of('0') + 1);
        text += "." + fraction;
    }
    return text;
}

} // namespace berth::tar::format
