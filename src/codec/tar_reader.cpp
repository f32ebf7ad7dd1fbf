// SPDX-License-Identifier: Apache-2.0
// One entry at a time. Where readers of the world disagree (hard links with data, two sizes), this
// one follows Go's archive/tar: it is what every image was checked with.
#include "base/strings.h"
#include "codec/tar.h"
#include "codec/tar_format.h"
#include "codec/tar_sparse.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace berth::tar {

namespace {

using format::Block;
using format::damaged;
using format::number_field;
using format::PaxRecords;
using format::text_field;

constexpr std::string_view xattr_prefix = "SCHILY.xattr.";

Error limit_error(std::string_view what, std::uint64_t limit) {
    return {
        ErrorKind::ResourceExhausted,
        std::string(what) + " in the archive exceeds the limit of " + std::to_string(limit)};
}

bool is_zero(const Block& block) {
    return std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; });
}

// What the special entries before an entry have said.
struct Overrides {
    PaxRecords pax;
    std::size_t pax_bytes = 0;
    std::string long_name;
    std::string long_link;
    bool any = false;
};

Result<std::uint32_t> u32_field(const Block& block, format::Range range, std::string_view what) {
    const std::int64_t value = TRY(number_field(block, range));
    if (value < 0 || value > std::numeric_limits<std::uint32_t>::max()) {
        return damaged(std::string(what) + " is out of range");
    }
    return static_cast<std::uint32_t>(value);
}

const std::string* find(const PaxRecords& records, const char* key) {
    const auto found = records.values.find(key);
    return found == records.values.end() ? nullptr : &found->second;
}

template <class T>
Result<T> pax_number(const std::string& text) {
    auto number = parse_number<T>(text);
    if (!number.ok()) {
        return damaged("a pax number");
    }
    return number;
}

} // namespace

struct Reader::State {
    ByteSource& source;
    Limits limits;
    PaxRecords global;
    // Of the current entry: bytes of the archive left, then padding; and where in the file we are.
    std::uint64_t stored_left = 0;
    std::uint64_t padding = 0;
    std::uint64_t position = 0;
    std::uint64_t size = 0;
    // Empty for a file without holes.
    bool is_sparse = false;
    std::vector<Segment> segments;
    std::size_t segment = 0;
    bool ended = false;

    // From the position to the next data or the file's end.
    std::uint64_t hole_ahead();
    // False at the end of the source; DataLoss in the middle of a block.
    Result<bool> read_block(Block& block);
    Result<void> skip(std::uint64_t count);
    Result<std::string> read_payload(const Block& block, std::size_t limit);
    Result<bool> read_special(const Block& block, Overrides& overrides);
    Result<Header> read_entry(const Block& block, const Overrides& overrides);
    Result<void> read_names(const Block& block, const Overrides& overrides, Header& header);
    Result<void> apply_pax(const PaxRecords& pax, Header& header, std::int64_t& stored);
    Result<void> read_sparse(const Block& block, const PaxRecords& pax, Header& header);
};

std::uint64_t Reader::State::hole_ahead() {
    if (!is_sparse) {
        return 0;
    }
    while (segment < segments.size() &&
           position >= segments[segment].offset + segments[segment].length) {
        ++segment;
    }
    const std::uint64_t data = segment == segments.size() ? size : segments[segment].offset;
    return data > position ? data - position : 0;
}

Result<bool> Reader::State::read_block(Block& block) {
    const std::size_t count = TRY(read_full(source, block));
    if (count != 0 && count != block.size()) {
        return damaged("it ends in the middle of a header");
    }
    return count != 0;
}

Result<void> Reader::State::skip(std::uint64_t count) {
    if (count != 0 && TRY(source.skip(count)) != count) {
        return damaged("it ends in the middle of a file");
    }
    return ok();
}

// The data of a special entry (a long name, pax records).
Result<std::string> Reader::State::read_payload(const Block& block, std::size_t limit) {
    const std::int64_t length = TRY(number_field(block, format::size));
    if (length < 0) {
        return damaged("a negative size");
    }
    if (static_cast<std::uint64_t>(length) > limit) {
        return limit_error("a header", limit);
    }
    std::string payload(static_cast<std::size_t>(length), '\0');
    if (TRY(read_full(source, payload)) != payload.size()) {
        return damaged("it ends in the middle of a header");
    }
    const std::size_t rest = payload.size() % format::block_bytes;
    TRY(skip(rest == 0 ? 0 : format::block_bytes - rest));
    return payload;
}

// True when the block was no entry of its own.
Result<bool> Reader::State::read_special(const Block& block, Overrides& overrides) {
    const auto cut_at_nul = [](std::string& text) {
        text.resize(std::min(text.find('\0'), text.size()));
    };
    switch (block[format::type]) {
    case 'x': {
        overrides.any = true;
        overrides.pax.sparse_segments.clear();
        const std::string text = TRY(read_payload(block, limits.pax_bytes));
        overrides.pax_bytes += text.size();
        if (overrides.pax_bytes > limits.pax_bytes) {
            return limit_error("an entry's pax headers", limits.pax_bytes);
        }
        TRY(format::parse_pax(text, limits.sparse_segments, overrides.pax));
        return true;
    }
    case 'g': {
        const std::string text = TRY(read_payload(block, limits.pax_bytes));
        TRY(format::parse_pax(text, limits.sparse_segments, global));
        std::size_t total = 0;
        for (const auto& [key, value] : global.values) {
            total += key.size() + value.size();
        }
        if (total > limits.global_bytes) {
            return limit_error("the global pax headers", limits.global_bytes);
        }
        overrides.pax.values = global.values;
        return true;
    }
    case 'L':
        overrides.any = true;
        overrides.long_name = TRY(read_payload(block, limits.name_bytes + 1));
        cut_at_nul(overrides.long_name);
        return true;
    case 'K':
        overrides.any = true;
        overrides.long_link = TRY(read_payload(block, limits.name_bytes + 1));
        cut_at_nul(overrides.long_link);
        return true;
    default:
        return false;
    }
}

Result<void>
Reader::State::read_names(const Block& block, const Overrides& overrides, Header& header) {
    const std::string* pax_name = find(overrides.pax, "path");
    const std::string* sparse_name = find(overrides.pax, "GNU.sparse.name");
    if (sparse_name != nullptr) {
        header.name = *sparse_name;
    } else if (!overrides.long_name.empty()) {
        header.name = overrides.long_name;
    } else if (pax_name != nullptr) {
        header.name = *pax_name;
    } else {
        header.name = text_field(block, format::name);
        const std::string prefix = text_field(block, format::prefix);
        if (format::field(block, format::magic).starts_with(std::string_view("ustar\0", 6)) &&
            !prefix.empty()) {
            header.name = prefix + "/" + header.name;
        }
    }
    if (!overrides.long_link.empty()) {
        header.link_name = overrides.long_link;
    } else if (const std::string* link = find(overrides.pax, "linkpath")) {
        header.link_name = *link;
    } else {
        header.link_name = text_field(block, format::link_name);
    }
    if (header.name.empty()) {
        return damaged("an entry without a name");
    }
    if (header.name.size() > limits.name_bytes || header.link_name.size() > limits.name_bytes) {
        return limit_error("a name", limits.name_bytes);
    }
    return ok();
}

namespace {

Result<void> read_type(const Block& block, Header& header) {
    const char flag = block[format::type];
    switch (flag) {
    case '\0': // archives from before there was a type for directories
        header.type = header.name.ends_with('/') ? EntryType::Directory : EntryType::File;
        break;
    case '0':
    case '7': // contiguous: a file
    case 'S': // GNU's old sparse format
        header.type = EntryType::File;
        break;
    case '1':
        header.type = EntryType::HardLink;
        break;
    case '2':
        header.type = EntryType::SymbolicLink;
        break;
    case '3':
        header.type = EntryType::CharacterDevice;
        break;
    case '4':
        header.type = EntryType::BlockDevice;
        break;
    case '5':
        header.type = EntryType::Directory;
        break;
    case '6':
        header.type = EntryType::Fifo;
        break;
    default:
        return not_implemented(
            "the tar entry " + header.name + " has the unsupported type " +
            std::to_string(static_cast<unsigned char>(flag)));
    }
    while (header.name.size() > 1 && header.name.ends_with('/')) {
        header.name.pop_back();
    }
    return ok();
}

Result<void> read_numbers(const Block& block, Header& header) {
    header.mode = TRY(u32_field(block, format::mode, "a mode")) & 07777U;
    header.uid = TRY(u32_field(block, format::uid, "a user id"));
    header.gid = TRY(u32_field(block, format::gid, "a group id"));
    const std::int64_t seconds = TRY(number_field(block, format::mtime));
    constexpr std::int64_t limit = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
    header.mtime = std::clamp(seconds, -limit, limit) * 1'000'000'000;
    if (format::field(block, format::magic).starts_with("ustar")) {
        header.user_name = text_field(block, format::user_name);
        header.group_name = text_field(block, format::group_name);
    }
    if (header.type == EntryType::CharacterDevice || header.type == EntryType::BlockDevice) {
        header.device_major = TRY(u32_field(block, format::device_major, "a device number"));
        header.device_minor = TRY(u32_field(block, format::device_minor, "a device number"));
    }
    return ok();
}

} // namespace

Result<void> Reader::State::apply_pax(const PaxRecords& pax, Header& header, std::int64_t& stored) {
    if (const std::string* text = find(pax, "size")) {
        stored = TRY(pax_number<std::int64_t>(*text));
    }
    if (const std::string* text = find(pax, "uid")) {
        header.uid = TRY(pax_number<std::uint32_t>(*text));
    }
    if (const std::string* text = find(pax, "gid")) {
        header.gid = TRY(pax_number<std::uint32_t>(*text));
    }
    if (const std::string* text = find(pax, "mtime")) {
        header.mtime = TRY(format::parse_pax_time(*text));
    }
    if (const std::string* text = find(pax, "uname")) {
        header.user_name = *text;
    }
    if (const std::string* text = find(pax, "gname")) {
        header.group_name = *text;
    }
    for (const auto& [key, value] : pax.values) {
        if (key.starts_with(xattr_prefix) && key.size() > xattr_prefix.size()) {
            header.xattrs[key.substr(xattr_prefix.size())] = value;
        }
    }
    return ok();
}

Result<Header> Reader::State::read_entry(const Block& block, const Overrides& overrides) {
    Header header;
    TRY(read_names(block, overrides, header));
    TRY(read_type(block, header));
    TRY(read_numbers(block, header));
    std::int64_t stored = TRY(number_field(block, format::size));
    TRY(apply_pax(overrides.pax, header, stored));
    if (stored < 0) {
        return damaged("a negative size");
    }
    // Links, devices and directories have no data, whatever their size says.
    stored_left = header.type == EntryType::File ? static_cast<std::uint64_t>(stored) : 0;
    if (stored_left > limits.entry_bytes) {
        return limit_error("a file's size", limits.entry_bytes);
    }
    padding = (format::block_bytes - stored_left % format::block_bytes) % format::block_bytes;
    position = 0;
    segment = 0;
    segments.clear();
    is_sparse = false;
    header.size = stored_left;
    if (header.type == EntryType::File) {
        TRY(read_sparse(block, overrides.pax, header));
    }
    size = header.size;
    return header;
}

Result<void> Reader::State::read_sparse(const Block& block, const PaxRecords& pax, Header& header) {
    const std::string* real_size = find(pax, "GNU.sparse.realsize");
    if (real_size == nullptr) {
        real_size = find(pax, "GNU.sparse.size");
    }
    const std::string* major = find(pax, "GNU.sparse.major");
    const std::string* list = find(pax, "GNU.sparse.map");
    if (block[format::type] == 'S') {
        const std::int64_t number = TRY(number_field(block, format::gnu_real_size));
        header.size = number < 0 ? 0 : static_cast<std::uint64_t>(number);
        segments = TRY(sparse::read_gnu_map(block, source, limits.sparse_segments));
    } else if (real_size == nullptr) {
        return ok();
    } else if (major != nullptr && *major == "1") {
        segments = TRY(sparse::read_leading_map(source, stored_left, limits.sparse_segments));
    } else if (list != nullptr) {
        segments = TRY(sparse::parse_map(*list, limits.sparse_segments));
    } else {
        segments = pax.sparse_segments;
    }
    if (block[format::type] != 'S') {
        header.size = TRY(pax_number<std::uint64_t>(*real_size));
    }
    if (header.size > limits.entry_bytes) {
        return limit_error("a file's size", limits.entry_bytes);
    }
    is_sparse = true;
    return sparse::check_map(segments, header.size, stored_left);
}

Reader::Reader(ByteSource& source, Limits limits)
    : state_(std::make_unique<State>(State{.source = source, .limits = limits})) {}

Reader::Reader(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<std::optional<Header>> Reader::next() {
    State& state = *state_;
    if (state.ended) {
        return std::optional<Header>();
    }
    TRY(state.skip(state.stored_left));
    // Nothing is missing without the padding: docker's client leaves it and the end away where it
    // adds a Dockerfile to a context.
    const std::uint64_t padding = std::exchange(state.padding, 0);
    state.stored_left = state.position = state.size = 0;
    if (padding != 0 && TRY(state.source.skip(padding)) != padding) {
        state.ended = true;
        return std::optional<Header>();
    }
    Overrides overrides;
    overrides.pax.values = state.global.values;
    while (true) {
        Block block;
        const bool more = TRY(state.read_block(block));
        if (!more || is_zero(block)) {
            if (overrides.any) {
                return damaged("it ends after an extended header");
            }
            if (more && TRY(state.read_block(block)) && !is_zero(block)) {
                return damaged("a lone zero block");
            }
            state.ended = true;
            return std::optional<Header>();
        }
        const std::int64_t sum = TRY(number_field(block, format::checksum));
        const format::Sums sums = format::header_sums(block);
        if (sum != sums.unsigned_sum && sum != sums.signed_sum) {
            return damaged("a header's checksum is wrong");
        }
        const bool special = TRY(state.read_special(block, overrides));
        if (!special) {
            return std::optional<Header>(TRY(state.read_entry(block, overrides)));
        }
    }
}

Result<std::size_t> Reader::read(std::span<char> buffer) {
    State& state = *state_;
    std::uint64_t count = std::min<std::uint64_t>(buffer.size(), state.size - state.position);
    if (count == 0) {
        return std::size_t{0};
    }
    if (const std::uint64_t hole = state.hole_ahead(); hole > 0) {
        count = std::min(count, hole);
        std::fill_n(buffer.begin(), count, '\0');
        state.position += count;
        return static_cast<std::size_t>(count);
    }
    if (state.is_sparse) {
        const Segment& segment = state.segments[state.segment];
        count = std::min(count, segment.offset + segment.length - state.position);
    }
    const std::size_t got = TRY(state.source.read(buffer.first(static_cast<std::size_t>(count))));
    if (got == 0) {
        return damaged("it ends in the middle of a file");
    }
    state.position += got;
    state.stored_left -= got;
    return got;
}

std::uint64_t Reader::skip_hole() {
    const std::uint64_t hole = state_->hole_ahead();
    state_->position += hole;
    return hole;
}

std::vector<Segment> Reader::segments() const {
    if (state_->is_sparse) {
        return state_->segments;
    }
    return state_->size == 0 ? std::vector<Segment>() : std::vector<Segment>{{0, state_->size}};
}

Result<void> Reader::drain() {
    TRY(state_->source.skip(std::numeric_limits<std::uint64_t>::max()));
    return ok();
}

} // namespace berth::tar
