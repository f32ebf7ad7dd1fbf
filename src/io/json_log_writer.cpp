// SPDX-License-Identifier: Apache-2.0
// Lines of one read go out in one write, but where the file has reached its size in between: Docker
// looks at it before each line.
#include "io/json_log_writer.h"

#include "base/file.h"
#include "io/json_log_files.h"
#include "io/json_log_format.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::io {
namespace {

constexpr std::size_t attributes_limit = 1U << 20;

// Behind the last line feed: what follows is the torn line of a machine that stopped.
std::uint64_t end_of_lines(FdRef fd, std::uint64_t size) {
    std::array<char, 4096> window;
    while (size > 0) {
        const std::uint64_t start = size - std::min<std::uint64_t>(size, window.size());
        const ssize_t count = pread(
            fd.get(),
            window.data(),
            static_cast<std::size_t>(size - start),
            static_cast<off_t>(start));
        if (count <= 0) {
            return size;
        }
        const std::string_view bytes(window.data(), static_cast<std::size_t>(count));
        if (const std::size_t feed = bytes.rfind('\n'); feed != std::string_view::npos) {
            return start + feed + 1;
        }
        size = start;
    }
    return 0;
}

} // namespace

Result<std::unique_ptr<JsonLogWriter>> JsonLogWriter::open(const LogOptions& options) {
    TRY(make_directories(options.directory, 0700));
    std::string attributes;
    if (const std::string path = options.directory + "/attributes.json"; exists(path)) {
        attributes = TRY(read_file(path, attributes_limit));
    }
    UniqueFd file = TRY(open_to_append(options.json_file));

    struct stat status {};

    if (fstat(file.get(), &status) != 0) {
        return errno_error("stat " + options.json_file);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const std::uint64_t end = end_of_lines(file, size);
    if (end != size && ftruncate(file.get(), static_cast<off_t>(end)) != 0) {
        return errno_error("truncate " + options.json_file);
    }
    return std::unique_ptr<JsonLogWriter>(
        new JsonLogWriter(options, std::move(file), end, std::move(attributes)));
}

// Where somebody works on the names just now the file grows by another line instead.
void JsonLogWriter::rotate() {
    const std::optional<UniqueFd> lock = try_lock_json_log(options_.directory);
    if (!lock) {
        return;
    }
    const std::string& current = options_.json_file;
    const auto rename_both = [&](std::size_t from, std::size_t to) {
        for (const char* suffix : {"", compressed_log_suffix}) {
            (void)std::rename(
                (json_log_path(current, from) + suffix).c_str(),
                (json_log_path(current, to) + suffix).c_str());
        }
    };
    const std::size_t oldest = options_.max_files - 1;
    for (const char* suffix : {"", compressed_log_suffix}) {
        // With one file the one that is written goes: who reads it reads it to its end.
        if (oldest > 0 || *suffix == '\0') {
            (void)unlink((json_log_path(current, oldest) + suffix).c_str());
        }
    }
    for (std::size_t number = oldest; number > 1; --number) {
        rename_both(number - 1, number);
    }
    if (oldest > 0 && std::rename(current.c_str(), json_log_path(current, 1).c_str()) != 0) {
        return;
    }
    if (auto next = open_to_append(current); next.ok()) {
        file_ = std::move(next).value();
        size_ = 0;
    }
}

void JsonLogWriter::flush() {
    if (batch_.empty()) {
        return;
    }
    ssize_t written = 0;
    do {
        written = write(file_.get(), batch_.data(), batch_.size());
    } while (written < 0 && errno == EINTR);
    if (written < 0 || static_cast<std::size_t>(written) != batch_.size()) {
        const int number = written < 0 ? errno : ENOSPC;
        if (written > 0) {
            // A full disk took a part: cut it off, so that later lines can be read.
            [[maybe_unused]] const int cut = ftruncate(file_.get(), static_cast<off_t>(size_));
        }
        outcome_ = Error::from_errno("write to the log", number);
    } else {
        size_ += batch_.size();
    }
    batch_.clear();
}

void JsonLogWriter::write_line(const LogLine& line) {
    if (options_.max_file_size > 0 && size_ + batch_.size() >= options_.max_file_size) {
        flush();
        if (size_ >= options_.max_file_size) {
            rotate();
        }
    }
    const std::size_t index = line.stream == Stream::Stderr ? 1 : 0;
    std::string& tail = tails_[index];
    if (tail.empty() || tail_times_[index] != line.time) {
        tail = json_log_tail(line.stream, attributes_, line.time);
        tail_times_[index] = line.time;
    }
    append_json_log_line(batch_, line.text, line.is_last, tail);
}

Result<void> JsonLogWriter::append(Stream stream, Timestamp time, std::string_view bytes) {
    outcome_ = ok();
    lines_.add(stream, time, bytes, [this](const LogLine& line) { write_line(line); });
    flush();
    return std::exchange(outcome_, ok());
}

Result<void> JsonLogWriter::finish(Stream stream) {
    outcome_ = ok();
    lines_.finish(stream, [this](const LogLine& line) { write_line(line); });
    flush();
    return std::exchange(outcome_, ok());
}

} // namespace berth::io
