// SPDX-License-Identifier: Apache-2.0
// LogWriter: appends records and rotates by number, so that a reader never meets a renamed file.
#include "base/file.h"
#include "io/log_file.h"
#include "io/log_format.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace berth::io {
namespace {

Result<UniqueFd> open_log(const std::string& path) {
    return open_file(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
}

} // namespace

Result<LogWriter> LogWriter::open(const LogOptions& options) {
    VERIFY(options.max_files > 0);
    TRY(make_directories(options.directory, 0700));
    const std::vector<std::uint64_t> numbers = log_file_numbers(options.directory);
    const std::uint64_t number = numbers.empty() ? 1 : numbers.back();
    const std::string path = log_file_path(options.directory, number);
    UniqueFd file = TRY(open_log(path));

    struct stat status {};

    if (fstat(file.get(), &status) != 0) {
        return errno_error("stat " + path);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const std::uint64_t end = end_of_log_records(file, size);
    if (end != size && ftruncate(file.get(), static_cast<off_t>(end)) != 0) {
        return errno_error("truncate " + path);
    }
    // Files beyond the limit are there when the limit has been lowered since.
    for (std::size_t i = 0; i + options.max_files < numbers.size(); ++i) {
        (void)unlink(log_file_path(options.directory, numbers[i]).c_str());
    }
    return LogWriter(options, std::move(file), number, end);
}

Result<void> LogWriter::rotate() {
    UniqueFd next = TRY(open_log(log_file_path(options_.directory, number_ + 1)));
    file_ = std::move(next);
    ++number_;
    size_ = 0;
    if (number_ > options_.max_files) {
        // The usual case removes one file and lists nothing.
        const std::uint64_t oldest = number_ - options_.max_files;
        const std::string path = log_file_path(options_.directory, oldest);
        if (unlink(path.c_str()) != 0 && errno != ENOENT) {
            return errno_error("remove " + path);
        }
    }
    return ok();
}

Result<void> LogWriter::append(Stream stream, Timestamp time, std::string_view bytes) {
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, log_record_limit);
        bytes.remove_prefix(piece.size());
        TRY(append_record(stream, time, piece));
    }
    return ok();
}

Result<void> LogWriter::append_record(Stream stream, Timestamp time, std::string_view bytes) {
    const std::uint64_t whole = log_header_size + bytes.size() + log_footer_size;
    if (options_.max_file_size > 0 && size_ > 0 && size_ + whole > options_.max_file_size) {
        TRY(rotate());
    }
    bool& in_line = in_line_[static_cast<std::size_t>(stream)];
    const auto length = static_cast<std::uint32_t>(bytes.size());
    auto header = encode_log_header(
        {.time = time, .length = length, .stream = stream, .begins_line = !in_line});
    auto footer = encode_log_footer(length);
    const std::array<iovec, 3> parts{{
        {.iov_base = header.data(), .iov_len = header.size()},
        {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()},
        {.iov_base = footer.data(), .iov_len = footer.size()},
    }};
    ssize_t written = 0;
    do {
        written = writev(file_.get(), parts.data(), static_cast<int>(parts.size()));
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
        return errno_error("write to the log");
    }
    if (static_cast<std::uint64_t>(written) != whole) {
        // A full disk took a part: cut it off, so that later records can be read.
        [[maybe_unused]] int cut = ftruncate(file_.get(), static_cast<off_t>(size_));
        return Error::from_errno("write to the log", ENOSPC);
    }
    size_ += whole;
    in_line = bytes.back() != '\n';
    return ok();
}

Result<std::uint64_t> log_size(const std::string& directory) {
    std::uint64_t total = 0;
    for (const std::uint64_t number : log_file_numbers(directory)) {
        struct stat status {};

        if (stat(log_file_path(directory, number).c_str(), &status) == 0) {
            total += static_cast<std::uint64_t>(status.st_size);
        }
    }
    return total;
}

} // namespace berth::io
