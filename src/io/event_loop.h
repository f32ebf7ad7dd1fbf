// SPDX-License-Identifier: Apache-2.0
// One epoll loop: descriptors, timers and jobs from other threads, each with a move-only callback.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <sys/epoll.h>

namespace berth::io {

// Lifetime: whoever registers a descriptor keeps it open until it has called remove(); closing a
// watched descriptor first is an error. Threads: everything but post(), stop() and in_loop_thread()
// may be called only from the thread that runs the loop, or before run() and after it returned.
// Callbacks run in that thread and must not block.
class EventLoop {
  public:
    using Clock = std::chrono::steady_clock; // CLOCK_MONOTONIC
    using FdCallback = std::move_only_function<void(std::uint32_t events)>;
    using Job = std::move_only_function<void()>;
    enum class TimerId : std::uint64_t {};

    static Result<std::unique_ptr<EventLoop>> create();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;
    ~EventLoop();

    // Level-triggered unless events has EPOLLET. events is a set of EPOLLIN, EPOLLOUT, EPOLLRDHUP,
    // EPOLLPRI; EPOLLERR and EPOLLHUP always arrive. 0 is allowed: only errors and hang-ups.
    Result<void> add(FdRef fd, std::uint32_t events, FdCallback callback);
    Result<void> modify(FdRef fd, std::uint32_t events);

    // After it returns the callback is never called again, not even for events of the current
    // round. A callback may remove itself or any other. Removing what is not there does nothing.
    void remove(FdRef fd);

    // Fires once. A timer with a delay of zero fires in the next round.
    TimerId add_timer(std::chrono::nanoseconds delay, Job job);
    void cancel_timer(TimerId id);

    // Runs the job in the loop's thread, in the order of posting, at the latest when run() is
    // called. Thread-safe. Jobs that are left when the loop dies are destroyed, not run.
    void post(Job job);

    // Returns after stop(). May be called again.
    void run();

    // One round: waits at most `timeout` (nullopt: until something happens) and dispatches.
    void run_once(std::optional<std::chrono::nanoseconds> timeout);

    // Thread-safe: run() returns after the round in progress. A stop() before run() makes that
    // run() return after one round.
    void stop();

    bool in_loop_thread() const;

    // For a callback that waits by itself: readable while the loop has something to dispatch, and
    // how long until the next timer is due (-1: there is none).
    FdRef readiness() const { return epoll_; }

    int milliseconds_to_timer() const;

  private:
    struct Watch;
    using TimerKey = std::pair<Clock::time_point, std::uint64_t>;

    EventLoop(UniqueFd epoll, UniqueFd wake);

    int wait(std::optional<std::chrono::nanoseconds> timeout, epoll_event* events, int capacity);
    void dispatch(const epoll_event& event);
    void run_expired_timers();
    void run_posted_jobs();
    Watch* find(int fd);

    UniqueFd epoll_;
    UniqueFd wake_;
    std::vector<std::unique_ptr<Watch>> watches_; // by descriptor number
    std::vector<std::unique_ptr<Watch>> retired_; // removed in this round; freed at its end
    std::uint32_t next_generation_ = 1;
    std::uint64_t next_timer_ = 1;
    std::map<TimerKey, Job> timers_;
    std::map<std::uint64_t, Clock::time_point> timer_deadlines_;
    Synchronized<std::vector<Job>> posted_;
    std::atomic<bool> stopped_ = false;
    std::atomic<std::thread::id> thread_;
};

// An EventLoop on a thread of its own; the destructor stops and joins it.
class EventLoopThread {
  public:
    static Result<std::unique_ptr<EventLoopThread>> start();
    ~EventLoopThread();

    EventLoop& loop() { return *loop_; }

  private:
    explicit EventLoopThread(std::unique_ptr<EventLoop> loop);

    std::unique_ptr<EventLoop> loop_;
    std::thread thread_;
};

// Makes reads and writes on fd return EAGAIN instead of blocking.
Result<void> set_nonblocking(FdRef fd);

} // namespace berth::io
