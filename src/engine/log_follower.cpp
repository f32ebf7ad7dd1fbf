// SPDX-License-Identifier: Apache-2.0
// One reader per follower, driven by whoever says that there is more.
#include "engine/log_follower.h"

#include "base/file.h"
#include "base/log.h"
#include "engine/log_compression.h"
#include "io/json_log_reader.h"
#include "io/log_format.h"

namespace berth::engine {
namespace {

Result<std::unique_ptr<io::LogSource>>
open_reader(const LogFiles& files, const LogOptions& options) {
    io::LogReadOptions wanted{.directory = files.directory};
    wanted.since = options.since.value_or(Timestamp());
    wanted.until = options.until.value_or(Timestamp());
    if (options.tail && *options.tail >= 0) {
        wanted.tail = static_cast<std::uint64_t>(*options.tail);
    }
    wanted.want_stdout = options.standard_output;
    wanted.want_stderr = options.standard_error;
    wanted.split_lines = options.split_lines;
    wanted.bookmark = options.bookmark;
    wanted.decompress = [directory = files.directory](UniqueFd compressed) {
        return decompress_log(directory, std::move(compressed));
    };
    if (!files.json_file.empty()) {
        return std::unique_ptr<io::LogSource>(
            TRY(io::JsonLogReader::open(std::move(wanted), files.json_file)));
    }
    return std::unique_ptr<io::LogSource>(
        std::make_unique<io::LogReader>(TRY(io::LogReader::open(std::move(wanted)))));
}

LogRecord record_of(const io::LogChunk& chunk, const io::LogSource& reader, bool bookmarks) {
    return {
        .time = chunk.time,
        .stream = chunk.stream == io::Stream::Stderr ? LogStream::Error : LogStream::Output,
        .bytes = std::string(chunk.bytes),
        .continues_line = chunk.continues_line,
        .bookmark = bookmarks ? reader.bookmark() : std::string()};
}

LogRecord beginning_of(const io::LogSource& reader) {
    return {.time = {}, .stream = LogStream::Output, .bytes = {}, .bookmark = reader.bookmark()};
}

} // namespace

LogFiles LogFiles::of(const io::LogOptions& log) {
    // Engines before this one wrote records for json-file, and the monitor of a container that runs
    // since then still does.
    const bool is_json = log.form == io::LogForm::Json &&
                         (exists(log.json_file) || io::log_file_numbers(log.directory).empty());
    return {
        .directory = log.directory,
        .json_file = is_json ? log.json_file : std::string(),
        .watched = is_json ? log.json_file.substr(0, log.json_file.rfind('/')) : log.directory};
}

Result<void> read_log(
    const LogFiles& files,
    const LogOptions& options,
    const std::function<bool(const LogRecord&)>& record) {
    const auto reader = TRY(open_reader(files, options));
    if (options.bookmarks && !record(beginning_of(*reader))) {
        return ok();
    }
    while (auto chunk = TRY(reader->next())) {
        if (!record(record_of(*chunk, *reader, options.bookmarks))) {
            break;
        }
    }
    return ok();
}

Result<std::shared_ptr<LogFollower>>
LogFollower::create(const LogFiles& files, const LogOptions& options, LogSink sink) {
    auto reader = TRY(open_reader(files, options));
    return std::shared_ptr<LogFollower>(
        new LogFollower(std::move(reader), std::move(sink), options.bookmarks));
}

Result<void> LogFollower::start(io::LogWatch& watch, const LogFiles& files) {
    // The directory may be watched before its first record; the monitor makes it otherwise.
    const std::lock_guard lock(mutex_);
    watch_ = TRY(watch.subscribe(files.watched, [weak = weak_from_this()] {
        if (auto self = weak.lock()) {
            const std::lock_guard inner(self->mutex_);
            self->drain();
        }
    }));
    if (bookmarks_) {
        ended_ = !sink_.record(beginning_of(*reader_));
        paused_ = must_pause();
    }
    drain();
    return ok();
}

bool LogFollower::must_pause() {
    if (!sink_.pause) {
        return false;
    }
    return sink_.pause([weak = weak_from_this()] {
        if (auto self = weak.lock()) {
            self->resume();
        }
    });
}

void LogFollower::resume() {
    const std::lock_guard lock(mutex_);
    paused_ = false;
    drain();
}

void LogFollower::drain() {
    while (!ended_ && !paused_) {
        auto chunk = reader_->next();
        if (!chunk.ok()) {
            log::warn("log cannot be read", {{"error", chunk.error().message()}});
            end();
            return;
        }
        if (!*chunk) {
            if (reader_->ended() || finishing_) {
                end();
            }
            return;
        }
        if (!sink_.record(record_of(**chunk, *reader_, bookmarks_))) {
            ended_ = true;
        } else {
            paused_ = must_pause();
        }
    }
}

void LogFollower::end() {
    if (!ended_) {
        ended_ = true;
        sink_.end();
    }
}

void LogFollower::finish() {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
    drain();
}

void LogFollower::cancel() {
    std::unique_ptr<io::LogWatch::Subscription> doomed;
    const std::lock_guard lock(mutex_);
    ended_ = true;
    doomed = std::move(watch_);
}

} // namespace berth::engine
