// SPDX-License-Identifier: Apache-2.0
// LogReader: records in order through all files, lines filtered by time, stream and tail.
#include "base/file.h"
#include "base/strings.h"
#include "io/log_file.h"
#include "io/log_format.h"
#include "io/log_tail.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::io {
namespace {

// The second where the first was filled: who reads at length does it in larger steps, and who
// follows holds little.
constexpr std::size_t first_window_size = 64U << 10;
constexpr std::size_t large_window_size = 256U << 10;

constexpr std::uint64_t longest_file = std::numeric_limits<off_t>::max();

// True where everything in the file was written before `since`. False where that is not known.
bool is_compressed_and_older(const std::string& directory, std::uint64_t number, Timestamp since) {
    struct stat status {};

    return stat(compressed_log_path(directory, number).c_str(), &status) == 0 &&
           status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec + tick_nanoseconds <
               since.nanoseconds;
}

// When the first record of a file was written; nullopt when it has none.
std::optional<Timestamp> first_time(const std::string& path) {
    const Result<UniqueFd> file = open_file(path, O_RDONLY);
    std::array<char, log_header_size> bytes{};
    if (!file.ok() || pread(file.value().get(), bytes.data(), bytes.size(), 0) !=
                          static_cast<ssize_t>(bytes.size())) {
        return std::nullopt;
    }
    const auto header = decode_log_header({bytes.data(), bytes.size()});
    return header ? std::optional(header->time) : std::nullopt;
}

// "r.<file>.<offset>.<skip>"
Result<LogPosition> parse_bookmark(const LogReadOptions& options) {
    if (options.bookmark == log_end) {
        return find_log_tail(options.directory, 0, options.decompress);
    }
    const std::vector<std::string_view> parts = split(options.bookmark, '.');
    const Error wrong = invalid_argument("\"" + options.bookmark + "\" is no bookmark of this log");
    if (parts.size() != 4 || parts[0] != "r") {
        return wrong;
    }
    LogPosition position;
    position.file = TRY(parse_number<std::uint64_t>(parts[1]));
    position.offset = TRY(parse_number<std::uint64_t>(parts[2]));
    position.skip = TRY(parse_number<std::size_t>(parts[3]));
    if (position.offset > longest_file) {
        return wrong;
    }
    return position;
}

} // namespace

struct LogReader::State {
    Options options;
    UniqueFd file;
    std::uint64_t number = 0; // 0: no file yet
    std::uint64_t offset = 0; // of the next record
    std::uint64_t record_start = 0;
    bool newer_seen = false; // the file will not grow any more
    std::string window;
    bool reads_at_length = false;
    std::uint64_t window_start = 0;

    // The record in hand.
    LogRecordHeader header;
    std::string_view body; // what is left of it, in the window
    bool at_line_start = true;
    std::size_t skip = 0; // of the next record's body

    bool ended = false;
    std::array<bool, 4> dropping{}; // by stream: the line under way is not wanted

    Result<bool> open_number(std::uint64_t wanted);
    Result<bool> open_first();
    Result<bool> open_next();
    std::string_view bytes_at(std::uint64_t position, std::size_t size);
    bool load_record();
    Result<bool> next_record();
    std::string_view take_piece();
    bool wanted(bool line_starts);
};

Result<bool> LogReader::State::open_number(std::uint64_t wanted) {
    std::optional<UniqueFd> opened =
        TRY(open_log_file(options.directory, wanted, options.decompress));
    if (!opened) {
        return false;
    }
    file = std::move(*opened);
    number = wanted;
    offset = 0;
    newer_seen = false;
    window.clear();
    return true;
}

// The oldest file that may hold something that is wanted.
Result<bool> LogReader::State::open_first() {
    std::vector<std::uint64_t> numbers = log_file_numbers(options.directory);
    std::size_t first = 0;
    if (!options.since.is_zero()) {
        while (first + 1 < numbers.size()) {
            if (is_compressed_and_older(options.directory, numbers[first], options.since)) {
                ++first;
                continue;
            }
            const auto time = first_time(log_file_path(options.directory, numbers[first + 1]));
            if (!time || *time >= options.since) {
                break;
            }
            ++first;
        }
    }
    for (; first < numbers.size(); ++first) {
        if (TRY(open_number(numbers[first]))) {
            return true;
        }
    }
    return false;
}

// Follows the rotation. Usually the next number exists or nothing has happened; a reader that fell
// behind by all files finds its own removed and goes on with the oldest there is.
Result<bool> LogReader::State::open_next() {
    const std::uint64_t current = number;
    if (TRY(open_number(current + 1))) {
        return true;
    }
    for (const std::uint64_t candidate : log_file_numbers(options.directory)) {
        if (candidate > current && TRY(open_number(candidate))) {
            return true;
        }
    }
    return false;
}

std::string_view LogReader::State::bytes_at(std::uint64_t position, std::size_t size) {
    if (position < window_start || position + size > window_start + window.size()) {
        window.resize(std::max(size, reads_at_length ? large_window_size : first_window_size));
        window_start = position;
        const ssize_t count =
            pread(file.get(), window.data(), window.size(), static_cast<off_t>(position));
        reads_at_length = count >= static_cast<ssize_t>(first_window_size);
        window.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
        if (window.size() < size) {
            return {};
        }
    }
    return std::string_view(window).substr(static_cast<std::size_t>(position - window_start), size);
}

// False when there is no whole record at the offset (yet).
bool LogReader::State::load_record() {
    const auto decoded = decode_log_header(bytes_at(offset, log_header_size));
    if (!decoded) {
        window.clear(); // it may be whole when it is read again
        return false;
    }
    const std::size_t whole = log_header_size + decoded->length + log_footer_size;
    const std::string_view record = bytes_at(offset, whole);
    if (record.empty() ||
        decode_log_footer(record.substr(whole - log_footer_size)) != decoded->length) {
        window.clear();
        return false;
    }
    header = *decoded;
    record_start = offset;
    body = record.substr(log_header_size, header.length);
    at_line_start = header.begins_line;
    if (skip > 0) {
        body.remove_prefix(std::min(skip, body.size()));
        at_line_start = true;
        skip = 0;
    }
    offset += whole;
    return true;
}

Result<bool> LogReader::State::next_record() {
    if (number == 0 && !TRY(open_first())) {
        return false;
    }
    while (!load_record()) {
        struct stat status {};

        if (!newer_seen) {
            // Records may have been added between the look at the file and the look for a newer
            // one, so this file is looked at once more.
            newer_seen = log_file_exists(options.directory, number + 1) ||
                         (fstat(file.get(), &status) == 0 && status.st_nlink == 0);
            if (!newer_seen) {
                window = std::string(); // a quiet follower holds nothing
                return false;
            }
        } else if (!TRY(open_next())) {
            return false;
        }
    }
    return true;
}

// The next bytes that share a fate: up to the end of a line that began in an earlier record, or of
// any line with split_lines, or the whole rest: all lines that begin in a record have its time.
std::string_view LogReader::State::take_piece() {
    std::size_t size = body.size();
    if (!at_line_start || options.split_lines) {
        const std::size_t feed = body.find('\n');
        size = feed == std::string_view::npos ? size : feed + 1;
    }
    const std::string_view piece = body.substr(0, size);
    body.remove_prefix(size);
    return piece;
}

bool LogReader::State::wanted(bool line_starts) {
    bool& drop = dropping[static_cast<std::size_t>(header.stream)];
    if (line_starts) {
        drop = header.time < options.since;
    }
    return !drop && (header.stream == Stream::Stderr ? options.want_stderr : options.want_stdout);
}

LogReader::LogReader(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

LogReader::LogReader(LogReader&&) noexcept = default;
LogReader& LogReader::operator=(LogReader&&) noexcept = default;
LogReader::~LogReader() = default;

Result<LogReader> LogReader::open(Options options) {
    auto state = std::make_unique<State>();
    state->options = std::move(options);
    if (!state->options.bookmark.empty()) {
        state->options.from = TRY(parse_bookmark(state->options));
    }
    if (state->options.from) {
        const LogPosition& position = *state->options.from;
        if (position.file != 0 && TRY(state->open_number(position.file))) {
            state->offset = position.offset;
            state->skip = position.skip;
        } else {
            state->number = position.file; // what comes after it is found
            state->newer_seen = true;
        }
    } else if (state->options.tail) {
        const LogPosition position = find_log_tail(
            state->options.directory, *state->options.tail, state->options.decompress);
        if (position.file != 0 && TRY(state->open_number(position.file))) {
            state->offset = position.offset;
            state->skip = position.skip;
            state->dropping.fill(true); // lines that began before the tail
        }
    } else if (!state->options.since.is_zero()) {
        state->dropping.fill(true); // a line that began in a file that is passed over
    }
    return LogReader(std::move(state));
}

Result<std::optional<LogChunk>> LogReader::next() {
    State& state = *state_;
    while (!state.ended) {
        if (state.body.empty() && !TRY(state.next_record())) {
            break;
        }
        const bool line_starts = state.at_line_start;
        if (line_starts && !state.options.until.is_zero() &&
            state.header.time > state.options.until) {
            state.ended = true;
            break;
        }
        const std::string_view piece = state.take_piece();
        state.at_line_start = piece.ends_with('\n');
        if (!piece.empty() && state.wanted(line_starts)) {
            return std::optional(LogChunk{
                .stream = state.header.stream,
                .time = state.header.time,
                .bytes = piece,
                .continues_line = !line_starts});
        }
    }
    return std::optional<LogChunk>();
}

LogPosition LogReader::position() const {
    const State& state = *state_;
    if (state.body.empty()) {
        return {.file = state.number, .offset = state.offset, .skip = state.skip};
    }
    return {
        .file = state.number,
        .offset = state.record_start,
        .skip = state.header.length - state.body.size()};
}

std::string LogReader::bookmark() const {
    const LogPosition at = position();
    return "r." + std::to_string(at.file) + "." + std::to_string(at.offset) + "." +
           std::to_string(at.skip);
}

bool LogReader::ended() const {
    return state_->ended;
}

} // namespace berth::io
