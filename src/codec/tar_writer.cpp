// SPDX-License-Identifier: Apache-2.0
// ustar headers, with a pax header before them for what ustar cannot hold.
#include "base/strings.h"
#include "codec/tar.h"
#include "codec/tar_format.h"

#include <algorithm>

namespace berth::tar {

namespace {

using format::Block;
using format::Range;

constexpr std::int64_t second = 1'000'000'000;
constexpr std::uint64_t octal_7 = 07777777;      // seven digits and a NUL
constexpr std::uint64_t octal_11 = 077777777777; // eleven digits and a NUL
constexpr std::uint32_t mode_bits = 07777;

// A header in the making: what fits goes to the block, the rest to the records.
struct Draft {
    Block block{};
    std::map<std::string, std::string> records;
};

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0x80U) == 0;
    });
}

void put_text(Block& block, Range range, std::string_view text) {
    text.copy(block.data() + range.offset, range.length);
}

void put_octal(Block& block, Range range, std::uint64_t value) {
    for (std::size_t i = range.length - 1; i-- > 0;) {
        block[range.offset + i] = static_cast<char>('0' + (value & 7U));
        value >>= 3;
    }
}

char type_flag(EntryType type) {
    switch (type) {
    case EntryType::File:
        return '0';
    case EntryType::HardLink:
        return '1';
    case EntryType::SymbolicLink:
        return '2';
    case EntryType::CharacterDevice:
        return '3';
    case EntryType::BlockDevice:
        return '4';
    case EntryType::Directory:
        return '5';
    case EntryType::Fifo:
        return '6';
    }
    return '0';
}

void put_name(Draft& draft, const std::string& name) {
    if (is_ascii(name)) {
        if (name.size() <= format::name.length) {
            put_text(draft.block, format::name, name);
            return;
        }
        // The longest prefix that fits; a directory's last slash is part of its name.
        const std::size_t slash = name.rfind('/', std::min(format::prefix.length, name.size() - 2));
        if (slash != std::string::npos && slash > 0 &&
            name.size() - slash - 1 <= format::name.length) {
            put_text(draft.block, format::prefix, std::string_view(name).substr(0, slash));
            put_text(draft.block, format::name, std::string_view(name).substr(slash + 1));
            return;
        }
    }
    draft.records["path"] = name;
    put_text(draft.block, format::name, name);
}

void put_short_text(Draft& draft, Range range, const char* record, const std::string& text) {
    // User and group names end with a NUL; a link's name may fill its field.
    const std::size_t room =
        range.offset == format::link_name.offset ? range.length : range.length - 1;
    if (text.size() > room || !is_ascii(text)) {
        draft.records[record] = text;
    }
    put_text(draft.block, range, std::string_view(text).substr(0, room));
}

void put_number(Draft& draft, Range range, const char* record, std::uint64_t value) {
    if (value > (range.length == 8 ? octal_7 : octal_11)) {
        draft.records[record] = std::to_string(value);
        value = 0;
    }
    put_octal(draft.block, range, value);
}

void put_time(Draft& draft, std::int64_t time) {
    const std::int64_t seconds = time / second;
    if (time < 0 || time % second != 0 || static_cast<std::uint64_t>(seconds) > octal_11) {
        draft.records["mtime"] = format::format_pax_time(time);
    }
    const bool fits = time >= 0 && static_cast<std::uint64_t>(seconds) <= octal_11;
    put_octal(draft.block, format::mtime, fits ? static_cast<std::uint64_t>(seconds) : 0);
}

void seal(Block& block) {
    put_text(block, format::magic, format::ustar_magic);
    std::fill_n(block.begin() + format::checksum.offset, format::checksum.length, ' ');
    put_octal(
        block,
        {format::checksum.offset, 7},
        static_cast<std::uint64_t>(format::header_sums(block).unsigned_sum));
    block[format::checksum.offset + 6] = '\0';
}

std::uint32_t padding_of(std::uint64_t size) {
    return static_cast<std::uint32_t>(
        (format::block_bytes - size % format::block_bytes) % format::block_bytes);
}

// The name is only seen by programs that do not know pax; it must be the same every time.
Block pax_block(std::string_view name, std::size_t size) {
    Draft draft;
    const auto parts = cut_last(name.ends_with('/') ? name.substr(0, name.size() - 1) : name, "/");
    std::string base = "PaxHeaders.0/" + std::string(parts ? parts->after : name);
    std::replace_if(
        base.begin(),
        base.end(),
        [](char c) {
            return !is_ascii({&c, 1});
        },
        '_');
    base.resize(std::min(base.size(), format::name.length));
    put_text(draft.block, format::name, base);
    put_octal(draft.block, format::mode, 0644);
    put_octal(draft.block, format::uid, 0);
    put_octal(draft.block, format::gid, 0);
    put_octal(draft.block, format::size, size);
    put_octal(draft.block, format::mtime, 0);
    draft.block[format::type] = 'x';
    seal(draft.block);
    return draft.block;
}

Result<void> check_header(const Header& header) {
    const auto has_nul = [](const std::string& text) {
        return text.find('\0') != std::string::npos;
    };
    if (header.name.empty() || has_nul(header.name) || has_nul(header.link_name) ||
        has_nul(header.user_name) || has_nul(header.group_name)) {
        return invalid_argument("a tar entry's name is empty or contains a NUL byte");
    }
    if (header.type != EntryType::File && header.size != 0) {
        return invalid_argument("the tar entry " + header.name + " is no file and has a size");
    }
    if (header.device_major > octal_7 || header.device_minor > octal_7) {
        return invalid_argument(
            "the device numbers of " + header.name + " do not fit a tar header");
    }
    for (const auto& [key, value] : header.xattrs) {
        if (key.empty() || has_nul(key) || key.find('=') != std::string::npos) {
            return invalid_argument("an extended attribute of " + header.name + " has a bad name");
        }
    }
    return ok();
}

} // namespace

Result<void> Writer::write_header(const Header& header) {
    TRY(finish_entry());
    TRY(check_header(header));
    std::string name = header.name;
    if (header.type == EntryType::Directory && !name.ends_with('/')) {
        name += '/';
    }
    Draft draft;
    put_name(draft, name);
    put_octal(draft.block, format::mode, header.mode & mode_bits);
    put_number(draft, format::uid, "uid", header.uid);
    put_number(draft, format::gid, "gid", header.gid);
    put_number(draft, format::size, "size", header.size);
    put_time(draft, header.mtime);
    draft.block[format::type] = type_flag(header.type);
    put_short_text(draft, format::link_name, "linkpath", header.link_name);
    put_short_text(draft, format::user_name, "uname", header.user_name);
    put_short_text(draft, format::group_name, "gname", header.group_name);
    put_octal(draft.block, format::device_major, header.device_major);
    put_octal(draft.block, format::device_minor, header.device_minor);
    for (const auto& [key, value] : header.xattrs) {
        draft.records["SCHILY.xattr." + key] = value;
    }
    seal(draft.block);
    if (!draft.records.empty()) {
        std::string records = format::format_pax(draft.records);
        const Block block = pax_block(name, records.size());
        records.append(padding_of(records.size()), '\0');
        TRY(sink_.write({block.data(), block.size()}));
        TRY(sink_.write(records));
    }
    TRY(sink_.write({draft.block.data(), draft.block.size()}));
    left_ = header.size;
    padding_ = padding_of(header.size);
    return ok();
}

Result<void> Writer::write(std::string_view data) {
    if (data.size() > left_) {
        return invalid_argument("a tar entry's data is longer than its header says");
    }
    left_ -= data.size();
    return sink_.write(data);
}

Result<void> Writer::finish_entry() {
    if (left_ != 0) {
        return invalid_argument("a tar entry's data is shorter than its header says");
    }
    if (padding_ != 0) {
        const Block zeros{};
        TRY(sink_.write({zeros.data(), padding_}));
        padding_ = 0;
    }
    return ok();
}

Result<void> Writer::finish() {
    TRY(finish_entry());
    const Block zeros{};
    TRY(sink_.write({zeros.data(), zeros.size()}));
    return sink_.write({zeros.data(), zeros.size()});
}

} // namespace berth::tar
