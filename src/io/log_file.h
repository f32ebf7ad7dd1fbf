// SPDX-License-Identifier: Apache-2.0
// The output of a container on disk: binary records in numbered files, docs/formats/log.md.
// The monitor writes (LogWriter), the engine reads (LogReader); both at once and without a lock.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "io/log_cursor.h"
#include "io/log_output.h"
#include "io/stream_multiplexer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace berth::io {

// One writer per directory. Each append is one writev: a killed writer loses nothing that was
// appended, a torn record at the end of a file is cut off by the next writer.
class LogWriter final : public LogOutput {
  public:
    static Result<LogWriter> open(const LogOptions& options);

    Result<void> append(Stream stream, Timestamp time, std::string_view bytes) override;

    Result<void> finish(Stream) override { return ok(); }

    bool has_room(std::size_t bytes) override;

  private:
    LogWriter(LogOptions options, UniqueFd file, std::uint64_t number, std::uint64_t size)
        : options_(std::move(options))
        , file_(std::move(file))
        , number_(number)
        , size_(size) {}

    bool may_rotate() const;
    Result<void> rotate();
    Result<void> append_record(Stream stream, Timestamp time, std::string_view bytes);

    LogOptions options_;
    UniqueFd file_;
    std::uint64_t number_;
    std::uint64_t size_;
    std::array<bool, 4> in_line_{}; // by stream: the last byte was not a line feed
};

// A piece of the log: bytes of one stream that were read from the container at one time.
struct LogChunk {
    Stream stream = Stream::Stdout;
    Timestamp time;
    std::string_view bytes; // valid until the next call of the reader
    // The first byte goes on with a line that began in an earlier chunk of this stream.
    bool continues_line = false;
};

struct LogReadOptions {
    std::string directory;
    Timestamp since;                   // zero: from the beginning
    Timestamp until;                   // zero: without end
    std::optional<std::uint64_t> tail; // only the last lines, of both streams together
    bool want_stdout = true;           // after tail has counted, as Docker does it
    bool want_stderr = true;
    // Each chunk is one line or a piece of one (for --timestamps); else a chunk may hold many.
    bool split_lines = false;
    // Where to begin instead; of records only.
    std::optional<LogPosition> from = {};
    // The same in any form: what LogSource::bookmark() said, or log_end. InvalidArgument for
    // others.
    std::string bookmark = {};
    // Makes a file that was compressed after its rotation readable. Without it they are passed
    // over.
    std::function<Result<UniqueFd>(UniqueFd compressed)> decompress = {};
};

inline constexpr std::string_view log_end = "end";

// A file's time is that of the kernel's last tick; what was written to it may be so much later.
inline constexpr std::int64_t tick_nanoseconds = 1'000'000'000;

// A log that is read, whatever its form. A follower calls next() again after io::LogWatch
// (log_watch.h) said that there is more.
class LogSource {
  public:
    LogSource() = default;
    LogSource(const LogSource&) = delete;
    LogSource& operator=(const LogSource&) = delete;
    virtual ~LogSource() = default;

    // nullopt at the present end, or once `until` has passed (ended() tells).
    virtual Result<std::optional<LogChunk>> next() = 0;

    // True once something after `until` was met: nothing will follow.
    virtual bool ended() const = 0;

    // Behind all that was given out: who opens the log with it later goes on there, byte for byte.
    virtual std::string bookmark() const = 0;

  protected:
    LogSource(LogSource&&) = default;
    LogSource& operator=(LogSource&&) = default;
};

// Reads from the oldest record kept to the end, and goes on after the end when records are added:
// a follower calls next() again after io::LogWatch (log_watch.h) said that there is more. Holds at
// most one record in memory (a record is bounded by log_record_limit). Not thread-safe.
class LogReader final : public LogSource {
  public:
    using Options = LogReadOptions;

    // An absent directory is an empty log.
    static Result<LogReader> open(Options options);
    LogReader(LogReader&&) noexcept;
    LogReader& operator=(LogReader&&) noexcept;
    ~LogReader() override;

    // A record that cannot be read (a torn tail, damage) is passed over with the rest of its file.
    Result<std::optional<LogChunk>> next() override;

    bool ended() const override;

    // Behind all that was given out.
    LogPosition position() const;

    std::string bookmark() const override;

  private:
    struct State;
    explicit LogReader(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

// Bytes that all files take on disk.
Result<std::uint64_t> log_size(const std::string& directory);

inline constexpr std::size_t log_record_limit = 1U << 20;

} // namespace berth::io
