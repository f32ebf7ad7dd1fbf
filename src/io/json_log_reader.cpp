// SPDX-License-Identifier: Apache-2.0
// Files are opened oldest first under the lock that renaming takes, so none is met twice or missed.
#include "io/json_log_reader.h"

#include "base/file.h"
#include "base/strings.h"
#include "io/json_log_files.h"
#include "io/json_log_format.h"

#include <algorithm>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::io {
namespace {

constexpr std::size_t json_window_size = 128U << 10;
constexpr std::size_t chunk_limit = 64U << 10;
// A line of 16 KiB with nothing but escapes, and labels: what is longer is no line of ours.
constexpr std::size_t line_limit = 4U << 20;
constexpr std::size_t file_limit = 1000;

std::uint64_t size_of(FdRef fd) {
    struct stat status {};

    return fstat(fd.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

Timestamp time_of(const struct stat& status) {
    return {status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::size_t index_of(Stream stream) {
    return stream == Stream::Stderr ? 1 : 0;
}

// Where the last `lines` lines of a file begin; what is left of them in the files before it.
std::uint64_t find_tail(FdRef fd, std::uint64_t& lines) {
    std::uint64_t end = size_of(fd);
    std::string window;
    bool is_last = true; // the file's last line feed begins no line
    while (end > 0) {
        const std::uint64_t start = end - std::min<std::uint64_t>(end, json_window_size);
        window.resize(static_cast<std::size_t>(end - start));
        const ssize_t count =
            pread(fd.get(), window.data(), window.size(), static_cast<off_t>(start));
        if (count < 0 || static_cast<std::size_t>(count) != window.size()) {
            return end;
        }
        std::size_t at = window.size();
        while (at > 0) {
            const std::size_t feed = window.rfind('\n', at - 1);
            if (feed == std::string::npos) {
                break;
            }
            if (!std::exchange(is_last, false) && --lines == 0) {
                return start + feed + 1;
            }
            at = feed;
        }
        end = start;
    }
    if (!is_last) {
        --lines; // the file's first line
    }
    return 0;
}

// Of a file's first line: tells files apart whose inode is another's by now, or that were
// compressed.
std::uint64_t first_line_hash(FdRef fd) {
    std::array<char, 1024> bytes{};
    const ssize_t count = pread(fd.get(), bytes.data(), bytes.size(), 0);
    std::string_view text(bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    const std::size_t feed = text.find('\n');
    text = text.substr(0, feed == std::string_view::npos ? text.size() : feed);
    std::uint64_t hash = 14695981039346656037U; // FNV-1a
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    }
    return hash;
}

// "j.<inode>.<offset>.<hash of the first line>.<streams that are within a line>"
struct JsonBookmark {
    ino_t inode = 0; // 0: before all files
    std::uint64_t offset = 0;
    std::uint64_t hash = 0;
    unsigned in_line = 0;
};

Result<JsonBookmark> parse_bookmark(const std::string& text) {
    const std::vector<std::string_view> parts = split(text, '.');
    if (parts.size() != 5 || parts[0] != "j") {
        return invalid_argument("\"" + text + "\" is no bookmark of this log");
    }
    JsonBookmark bookmark;
    bookmark.inode = TRY(parse_number<ino_t>(parts[1]));
    bookmark.offset = TRY(parse_number<std::uint64_t>(parts[2]));
    bookmark.hash = TRY(parse_number<std::uint64_t>(parts[3]));
    bookmark.in_line = TRY(parse_number<unsigned>(parts[4]));
    return bookmark;
}

} // namespace

std::deque<JsonLogReader::File> JsonLogReader::open_files() const {
    std::deque<File> files;
    const Result<UniqueFd> lock = open_file(options_.directory + "/lock", O_RDWR | O_NOFOLLOW);
    if (lock.ok()) {
        // Held for a few renames only, and never by somebody who waits.
        (void)flock(lock.value().get(), LOCK_SH);
    }
    for (std::size_t number = 0; number < file_limit; ++number) {
        bool is_compressed = false;
        const std::string path = json_log_path(json_file_, number);
        Result<UniqueFd> opened = open_file(path, O_RDONLY);
        if (!opened.ok() && number > 0) {
            is_compressed = true;
            opened = open_file(path + compressed_log_suffix, O_RDONLY);
        }

        struct stat status {};

        if (!opened.ok() || fstat(opened.value().get(), &status) != 0) {
            if (number > 0) {
                break;
            }
            continue; // nothing was written since the last rotation
        }
        files.push_front(
            {.fd = std::move(opened).value(),
             .is_compressed = is_compressed,
             .inode = status.st_ino,
             .modified = time_of(status)});
    }
    return files;
}

Result<std::unique_ptr<JsonLogReader>>
JsonLogReader::open(LogReadOptions options, std::string json_file) {
    std::unique_ptr<JsonLogReader> reader(
        new JsonLogReader(std::move(options), std::move(json_file)));
    std::deque<File> files = reader->open_files();
    const LogReadOptions& wanted = reader->options_;
    if (!wanted.bookmark.empty()) {
        TRY(reader->begin_at_bookmark(files));
    } else if (wanted.tail) {
        TRY(reader->begin_at_tail(files, *wanted.tail));
    } else if (!wanted.since.is_zero()) {
        while (files.size() > 1 &&
               files.front().modified.nanoseconds + tick_nanoseconds < wanted.since.nanoseconds) {
            files.pop_front();
        }
    }
    reader->waiting_ = std::move(files);
    return reader;
}

// Of a file that is there no more only newer ones are wanted, and those are all.
Result<void> JsonLogReader::begin_at_bookmark(std::deque<File>& files) {
    if (options_.bookmark == log_end) {
        return begin_at_tail(files, 0);
    }
    const JsonBookmark bookmark = TRY(parse_bookmark(options_.bookmark));
    in_line_ = {(bookmark.in_line & 1U) != 0, (bookmark.in_line & 2U) != 0};
    if (bookmark.inode == 0) {
        return ok();
    }
    auto found = std::ranges::find_if(files, [&](const File& file) {
        return file.inode == bookmark.inode &&
               (bookmark.offset == 0 || first_line_hash(file.fd) == bookmark.hash);
    });
    for (auto file = files.begin(); found == files.end() && file != files.end(); ++file) {
        if (file->is_compressed && options_.decompress) {
            file->fd = TRY(options_.decompress(std::move(file->fd)));
            file->is_compressed = false;
            found = first_line_hash(file->fd) == bookmark.hash ? file : found;
        }
    }
    if (found != files.end()) {
        found->offset = bookmark.offset;
        files.erase(files.begin(), found);
    }
    return ok();
}

std::string JsonLogReader::bookmark() const {
    JsonBookmark at;
    if (file_.fd || !waiting_.empty()) {
        const File& file = file_.fd ? file_ : waiting_.front();
        at.inode = file.inode;
        at.offset = file_.fd ? read_to_ - (window_.size() - used_) : file.offset;
        at.hash = first_line_hash(file.fd);
    }
    at.in_line = (in_line_[0] ? 1U : 0U) | (in_line_[1] ? 2U : 0U);
    return "j." + std::to_string(at.inode) + "." + std::to_string(at.offset) + "." +
           std::to_string(at.hash) + "." + std::to_string(at.in_line);
}

Result<void> JsonLogReader::begin_at_tail(std::deque<File>& files, std::uint64_t lines) const {
    for (std::size_t left = files.size(); left > 0; --left) {
        File& file = files[left - 1];
        if (lines == 0) {
            file.offset = size_of(file.fd);
        } else {
            if (file.is_compressed && !options_.decompress) {
                continue;
            }
            if (file.is_compressed) {
                file.fd = TRY(options_.decompress(std::move(file.fd)));
                file.is_compressed = false;
            }
            file.offset = find_tail(file.fd, lines);
        }
        if (lines == 0) {
            files.erase(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(left - 1));
            break;
        }
    }
    return ok();
}

// The next one that waits; false when there is none.
Result<bool> JsonLogReader::next_file() {
    while (!waiting_.empty()) {
        File next = std::move(waiting_.front());
        waiting_.pop_front();
        if (next.is_compressed) {
            if (!options_.decompress) {
                continue;
            }
            next.fd = TRY(options_.decompress(std::move(next.fd)));
        }
        file_ = std::move(next);
        read_to_ = file_.offset;
        window_ = std::string();
        used_ = 0;
        newer_seen_ = false;
        return true;
    }
    return false;
}

// Called at the end of the file that was the newest one. False when it still is.
bool JsonLogReader::find_newer() {
    struct stat status {};

    if (file_.fd && stat(json_file_.c_str(), &status) == 0 && status.st_ino == file_.inode) {
        return false;
    }
    std::deque<File> files = open_files();
    if (file_.fd && fstat(file_.fd.get(), &status) == 0) {
        // A compressed file has the time of the one that it was. Where neither is there any more,
        // everything is newer.
        const Timestamp modified = time_of(status);
        const auto own = std::find_if(files.begin(), files.end(), [&](const File& file) {
            return file.is_compressed ? file.modified == modified : file.inode == file_.inode;
        });
        if (own != files.end()) {
            files.erase(files.begin(), own + 1);
        }
    }
    waiting_ = std::move(files);
    return !waiting_.empty();
}

// Somebody emptied the file, or its writer cut a torn line off.
void JsonLogReader::notice_truncation() {
    const std::uint64_t size = size_of(file_.fd);
    if (size >= read_to_) {
        return;
    }
    const std::uint64_t whole = read_to_ - (window_.size() - used_);
    read_to_ = size < whole ? 0 : whole;
    window_.clear();
    used_ = 0;
}

// More bytes into the window; false at the present end of everything.
Result<bool> JsonLogReader::fill() {
    while (true) {
        if (file_.fd) {
            window_.erase(0, used_);
            used_ = 0;
            if (window_.size() > line_limit) {
                window_.clear(); // damage
            }
            const std::size_t before = window_.size();
            window_.resize(before + json_window_size);
            const ssize_t count = pread(
                file_.fd.get(),
                window_.data() + before,
                json_window_size,
                static_cast<off_t>(read_to_));
            window_.resize(before + (count > 0 ? static_cast<std::size_t>(count) : 0));
            if (count > 0) {
                read_to_ += static_cast<std::uint64_t>(count);
                return true;
            }
            notice_truncation();
        }
        if (TRY(next_file())) {
            continue;
        }
        if (newer_seen_) {
            (void)find_newer();
            if (TRY(next_file())) {
                continue;
            }
            return false;
        }

        struct stat status {};

        // Lines may have come between the look at the file and the look for a newer one, so this
        // file is looked at once more.
        const bool is_newest =
            file_.fd && stat(json_file_.c_str(), &status) == 0 && status.st_ino == file_.inode;
        if (is_newest || (!file_.fd && !exists(json_file_))) {
            window_.shrink_to_fit(); // a quiet follower holds nothing
            return false;
        }
        newer_seen_ = true;
    }
}

std::optional<std::string_view> JsonLogReader::take_line() {
    const std::string_view rest = std::string_view(window_).substr(used_);
    const std::size_t feed = rest.find('\n');
    if (feed == std::string_view::npos) {
        return std::nullopt;
    }
    used_ += feed + 1;
    return rest.substr(0, feed);
}

bool JsonLogReader::is_wanted(Timestamp time, Stream stream) const {
    return time >= options_.since &&
           (stream == Stream::Stderr ? options_.want_stderr : options_.want_stdout);
}

// Lines that follow each other on one stream make one chunk, unless each is wanted for itself.
Result<std::optional<LogChunk>> JsonLogReader::next() {
    LogChunk chunk;
    text_.clear();
    while (!ended_) {
        const std::size_t before = used_;
        const auto line = take_line();
        if (!line) {
            if (!text_.empty() || !TRY(fill())) {
                break;
            }
            continue;
        }
        const std::size_t size = text_.size();
        const auto parsed = parser_.parse(*line, text_);
        if (!parsed) {
            continue;
        }
        if (!options_.until.is_zero() && parsed->time > options_.until) {
            ended_ = true;
            text_.resize(size);
            break;
        }
        const bool wanted = is_wanted(parsed->time, parsed->stream);
        bool& in_line = in_line_[index_of(parsed->stream)];
        if (size > 0 && wanted && parsed->stream != chunk.stream) {
            used_ = before; // the next chunk begins with it
            text_.resize(size);
            break;
        }
        const bool continues_line = std::exchange(in_line, !parsed->text.ends_with('\n'));
        if (!wanted) {
            text_.resize(size);
            continue;
        }
        if (size == 0) {
            chunk = {.stream = parsed->stream, .time = parsed->time, .bytes = {}};
            chunk.continues_line = continues_line;
        }
        if (!text_.empty() && (options_.split_lines || text_.size() >= chunk_limit)) {
            break;
        }
    }
    if (text_.empty()) {
        return std::optional<LogChunk>();
    }
    chunk.bytes = text_;
    return std::optional(chunk);
}

} // namespace berth::io
