// SPDX-License-Identifier: Apache-2.0
// Reads a container's log to its end, and follows it until the container has ended.
#pragma once

#include "engine/containers.h"
#include "io/log_file.h"
#include "io/log_watch.h"

#include <memory>
#include <mutex>
#include <string>

namespace berth::engine {

// Where a container's output is kept.
struct LogFiles {
    std::string directory;
    std::string json_file; // empty: records
    std::string watched;   // the directory in which something happens when there is more

    static LogFiles of(const io::LogOptions& log);
};

// All records that are there, to `record`; stops when it returns false.
Result<void> read_log(
    const LogFiles& files,
    const LogOptions& options,
    const std::function<bool(const LogRecord&)>& record);

// Calls of the sink never overlap. Thread-safe.
class LogFollower : public std::enable_shared_from_this<LogFollower> {
  public:
    static Result<std::shared_ptr<LogFollower>>
    create(const LogFiles& files, const LogOptions& options, LogSink sink);

    // Delivers what is there from this thread, then what comes from the watch's loop.
    Result<void> start(io::LogWatch& watch, const LogFiles& files);

    // The container has ended: the rest, then the sink's end().
    void finish();

    // The reader is gone: nothing is delivered any more.
    void cancel();

  private:
    LogFollower(std::unique_ptr<io::LogSource> reader, LogSink sink, bool bookmarks)
        : reader_(std::move(reader))
        , sink_(std::move(sink))
        , bookmarks_(bookmarks) {}

    void drain();
    void resume();
    bool must_pause();
    void end();

    std::mutex mutex_;
    std::unique_ptr<io::LogSource> reader_;
    LogSink sink_;
    bool bookmarks_;
    bool ended_ = false;
    bool paused_ = false;    // the reader has no room
    bool finishing_ = false; // the container has ended: the end of the log is the end
    std::unique_ptr<io::LogWatch::Subscription> watch_;
};

} // namespace berth::engine
