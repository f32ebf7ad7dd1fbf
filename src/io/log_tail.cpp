// SPDX-License-Identifier: Apache-2.0
// The tail of a log. Footers lead from record to record backwards, and a header says whether its
// record begins a line, so that nothing before the first line wanted is read.
#include "io/log_tail.h"

#include "base/file.h"
#include "io/log_format.h"

#include <algorithm>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::io {
namespace {

constexpr std::size_t tail_window_size = 64U << 10;

// A file seen through a window that moves towards its beginning.
class BackwardFile {
  public:
    explicit BackwardFile(UniqueFd file)
        : file_(std::move(file)) {}

    std::uint64_t end() const {
        struct stat status {};

        if (fstat(file_.get(), &status) != 0) {
            return 0;
        }
        return end_of_log_records(file_, static_cast<std::uint64_t>(status.st_size));
    }

    // The `size` bytes before `end`; empty when they are not there.
    std::string_view before(std::uint64_t end, std::size_t size) {
        if (size > end) {
            return {};
        }
        if (end - size < start_ || end > start_ + window_.size()) {
            const std::size_t wanted = static_cast<std::size_t>(
                std::min<std::uint64_t>(std::max(size, tail_window_size), end));
            window_.resize(wanted);
            start_ = end - wanted;
            const ssize_t count =
                pread(file_.get(), window_.data(), wanted, static_cast<off_t>(start_));
            if (count < 0 || static_cast<std::size_t>(count) != wanted) {
                window_.clear();
                return {};
            }
        }
        return std::string_view(window_).substr(
            static_cast<std::size_t>(end - size - start_), size);
    }

  private:
    UniqueFd file_;
    std::string window_;
    std::uint64_t start_ = 0;
};

// Goes back through the lines that begin in a record; true when `lines` came down to 0, with the
// offset of the line in `skip`.
bool count_back(bool begins_line, std::string_view body, std::uint64_t& lines, std::size_t& skip) {
    // A line feed that is the record's last byte begins no line here.
    std::size_t end = body.empty() ? 0 : body.size() - 1;
    while (end > 0) {
        const std::size_t feed = body.substr(0, end).rfind('\n');
        if (feed == std::string_view::npos) {
            break;
        }
        if (--lines == 0) {
            skip = feed + 1;
            return true;
        }
        end = feed;
    }
    if (begins_line && --lines == 0) {
        skip = 0;
        return true;
    }
    return false;
}

// True when the tail begins in this file.
bool search_file(BackwardFile& file, std::uint64_t& lines, LogPosition& position) {
    std::uint64_t end = file.end();
    while (end > 0) {
        const std::string_view footer = file.before(end, log_footer_size);
        if (footer.empty()) {
            break;
        }
        const std::size_t whole = log_header_size + decode_log_footer(footer) + log_footer_size;
        const std::string_view record = file.before(end, whole);
        const auto header = decode_log_header(record);
        if (!header) {
            break;
        }
        end -= whole;
        const std::string_view body = record.substr(log_header_size, header->length);
        if (count_back(header->begins_line, body, lines, position.skip)) {
            position.offset = end;
            return true;
        }
    }
    return false;
}

} // namespace

LogPosition
find_log_tail(const std::string& directory, std::uint64_t lines, const Decompress& decompress) {
    LogPosition position;
    std::vector<std::uint64_t> numbers = log_file_numbers(directory);
    for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
        auto opened = open_log_file(directory, *number, decompress);
        if (!opened.ok() || !*opened) {
            break; // rotated away: everything older is gone too
        }
        position = {.file = *number};
        BackwardFile file(std::move(**opened));
        if (lines == 0) {
            position.offset = file.end();
            break;
        }
        if (search_file(file, lines, position)) {
            break;
        }
    }
    return position;
}

} // namespace berth::io
