// SPDX-License-Identifier: Apache-2.0
// Hands the output of one container on to its logging driver: reads the files that the monitor
// writes, from where an earlier engine stopped. decision 0030.
#pragma once

#include "engine/log_driver.h"
#include "io/event_loop.h"
#include "io/log_file.h"
#include "io/log_lines.h"
#include "io/log_watch.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

namespace berth {
class WorkerPool;
}

namespace berth::engine {

// Has a thread of the pool only while there is something to hand on. Thread-safe.
class LogForwarder : public std::enable_shared_from_this<LogForwarder> {
  public:
    struct Place {
        std::string id;        // the container's, for the engine's own log
        std::string directory; // of the log's files
    };

    LogForwarder(
        Place place, std::unique_ptr<LogDriver> driver, io::EventLoop& loop, WorkerPool& pool);

    // Before the container's start: somebody is there to take the log.
    Result<void> connect();

    // From now on what comes is handed on.
    Result<void> start(io::LogWatch& watch);

    // The container runs again. False when everything was handed on: a new one is wanted.
    bool resume();

    // The container has ended: the rest is handed on, with a last line that has no end.
    void finish();

    // Called once when the rest has gone; at once, when it has already. REQUIRES: finish().
    void on_finished(std::function<void()> callback);

    // Nothing is handed on any more; what is under way breaks off. cancel() waits until it has.
    void request_stop() { stop_.request_stop(); }

    void cancel();

    // Somebody wrote.
    void poke();

  private:
    enum class Step : std::uint8_t { Sent, Nothing, Failed };

    void run();
    Step step(bool is_last);
    Result<void> fill(bool is_last);
    void add(const io::LogLine& line);
    Step send();
    Result<void> open_reader();
    void note_gap(const io::LogPosition& before) const;
    void note_return();
    bool save_cursor();
    void retry_later();

    const Place place_;
    std::unique_ptr<LogDriver> driver_;
    io::EventLoop& loop_;
    WorkerPool& pool_;
    std::stop_source stop_;

    // Of whoever runs.
    std::unique_ptr<io::LogReader> reader_;
    io::LogLines lines_;
    io::LogPosition saved_;
    std::uint64_t failures_ = 0; // of the batch under way
    bool complained_ = false;
    // Where the driver limits what waits: since the peer was away, until all that was written
    // meanwhile is handed on.
    bool was_away_ = false;
    std::uint64_t waiting_ = 0; // lines since then
    std::uint64_t lost_ = 0;
    std::uint64_t in_batch_ = 0;

    std::mutex mutex_;
    std::condition_variable changed_;
    bool running_ = false;
    bool again_ = false;
    bool finishing_ = false;
    bool finished_ = false;
    std::function<void()> on_finished_;
    std::unique_ptr<io::LogWatch::Subscription> watch_;
};

} // namespace berth::engine
