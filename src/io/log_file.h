// SPDX-License-Identifier: Apache-2.0
// The output of a container on disk: binary records in numbered files, docs/formats/log.md.
// The monitor writes (LogWriter), the engine reads (LogReader); both at once and without a lock.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "io/stream_multiplexer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace berth::io {

struct LogOptions {
    std::string directory;                   // holds log.<number> files; made when absent
    std::uint64_t max_file_size = 20U << 20; // 0: no rotation
    std::uint32_t max_files = 5;             // at least 1
};

// One writer per directory. Each append is one writev: a killed writer loses nothing that was
// appended, a torn record at the end of a file is cut off by the next writer.
class LogWriter {
  public:
    static Result<LogWriter> open(const LogOptions& options);

    // What one read of the container's output gave: lines, several, or a piece of one.
    Result<void> append(Stream stream, Timestamp time, std::string_view bytes);

  private:
    LogWriter(LogOptions options, UniqueFd file, std::uint64_t number, std::uint64_t size)
        : options_(std::move(options))
        , file_(std::move(file))
        , number_(number)
        , size_(size) {}

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

// Reads from the oldest record kept to the end, and goes on after the end when records are added:
// a follower calls next() again after io::LogWatch (log_watch.h) said that there is more. Holds at
// most one record in memory (a record is bounded by log_record_limit). Not thread-safe.
class LogReader {
  public:
    struct Options {
        std::string directory;
        Timestamp since;                   // zero: from the beginning
        Timestamp until;                   // zero: without end
        std::optional<std::uint64_t> tail; // only the last lines, of both streams together
        bool want_stdout = true;           // after tail has counted, as Docker does it
        bool want_stderr = true;
        // Each chunk is one line or a piece of one (for --timestamps); else a chunk may hold many.
        bool split_lines = false;
    };

    // An absent directory is an empty log.
    static Result<LogReader> open(Options options);
    LogReader(LogReader&&) noexcept;
    LogReader& operator=(LogReader&&) noexcept;
    ~LogReader();

    // nullopt at the present end, or once `until` has passed (ended() tells). A record that cannot
    // be read (a torn tail, damage) is passed over with the rest of its file.
    Result<std::optional<LogChunk>> next();

    // True once a record after `until` was met: nothing will follow.
    bool ended() const;

  private:
    struct State;
    explicit LogReader(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

// Bytes that all files take on disk.
Result<std::uint64_t> log_size(const std::string& directory);

inline constexpr std::size_t log_record_limit = 1U << 20;

} // namespace berth::io
