// SPDX-License-Identifier: Apache-2.0
// LogWriter: appends records and rotates by number, so that a reader never meets a renamed file.
#include "base/file.h"
#include "io/json_log_writer.h"
#include "io/log_file.h"
#include "io/log_format.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace berth::io {

Result<std::unique_ptr<LogOutput>> LogOutput::open(const LogOptions& options) {
    if (options.form == LogForm::Json) {
        return std::unique_ptr<LogOutput>(TRY(JsonLogWriter::open(options)));
    }
    return std::unique_ptr<LogOutput>(std::make_unique<LogWriter>(TRY(LogWriter::open(options))));
}

Result<UniqueFd> LogOutput::open_to_append(const std::string& file) {
    return open_file(file, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
}

Result<LogWriter> LogWriter::open(const LogOptions& options) {
    VERIFY(options.max_files > 0);
    TRY(make_directories(options.directory, 0700));
    const std::vector<std::uint64_t> numbers = log_file_numbers(options.directory);
    const std::uint64_t number = numbers.empty() ? 1 : numbers.back();
    const bool was_compressed = exists(compressed_log_path(options.directory, number));
    const std::uint64_t written = was_compressed ? number + 1 : number;
    const std::string path = log_file_path(options.directory, written);
    UniqueFd file = TRY(open_to_append(path));

    struct stat status {};

    if (fstat(file.get(), &status) != 0) {
        return errno_error("stat " + path);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const std::uint64_t end = end_of_log_records(file, size);
    if (end != size && ftruncate(file.get(), static_cast<off_t>(end)) != 0) {
        return errno_error("truncate " + path);
    }
    // Files beyond the limit are there when the limit has been lowered since, or when somebody
    // still had to read them.
    for (const std::uint64_t old : numbers) {
        if (old + options.max_files <= written && options.backlog == LogBacklog::DropOldest) {
            remove_log_file(options.directory, old);
        }
    }
    return LogWriter(options, std::move(file), written, end);
}

// Whether the file that the next rotation removes has been read.
bool LogWriter::may_rotate() const {
    if (options_.backlog == LogBacklog::DropOldest || number_ < options_.max_files) {
        return true;
    }
    const std::uint64_t oldest = number_ + 1 - options_.max_files;
    const std::optional<LogCursor> cursor = load_log_cursor(options_.directory);
    if (!cursor || cursor->position.file != oldest) {
        return cursor && cursor->position.file > oldest;
    }

    struct stat status {};

    // Where one file is kept, its reader waits at its end for the next one.
    return stat(log_file_path(options_.directory, oldest).c_str(), &status) == 0 &&
           cursor->position.offset >= static_cast<std::uint64_t>(status.st_size);
}

bool LogWriter::has_room(std::size_t bytes) {
    const std::uint64_t whole = log_header_size + bytes + log_footer_size;
    return options_.max_file_size == 0 || size_ + whole <= options_.max_file_size || size_ == 0 ||
           may_rotate();
}

Result<void> LogWriter::rotate() {
    UniqueFd next = TRY(open_to_append(log_file_path(options_.directory, number_ + 1)));
    file_ = std::move(next);
    ++number_;
    size_ = 0;
    if (number_ > options_.max_files) {
        // The usual case removes one file and lists nothing.
        remove_log_file(options_.directory, number_ - options_.max_files);
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
    if (options_.max_file_size > 0 && size_ > 0 && size_ + whole > options_.max_file_size &&
        may_rotate()) {
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

        for (const auto& path :
             {log_file_path(directory, number), compressed_log_path(directory, number)}) {
            if (stat(path.c_str(), &status) == 0) {
                total += static_cast<std::uint64_t>(status.st_size);
            }
        }
    }
    return total;
}

} // namespace berth::io
