// SPDX-License-Identifier: Apache-2.0
// The one thread of what serves many sockets (embedded DNS, relayed ports): readiness (epoll),
// timers, and work that other threads hand in. All but post() and stop() belong to the thread that
// runs it.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace berth::network {

class SocketHandler {
  public:
    virtual ~SocketHandler() = default;
    virtual void on_ready(std::uint32_t events) = 0; // EPOLLIN …
};

class SocketLoop {
  public:
    using Clock = std::chrono::steady_clock;
    using TimerId = std::pair<Clock::time_point, std::uint64_t>;

    static Result<std::unique_ptr<SocketLoop>> create();

    // Level-triggered. The handler lives until remove(), or the loop's end.
    Result<void> add(FdRef fd, std::uint32_t events, std::shared_ptr<SocketHandler> handler);
    void change(FdRef fd, std::uint32_t events);
    // Before the descriptor is closed; its handler is not called any more.
    void remove(FdRef fd);

    TimerId after(Clock::duration time, std::function<void()> action);
    void cancel(const TimerId& timer);

    // Runs the action soon, in the loop's thread; actions run in the order that they came.
    void post(std::function<void()> action);

    // Until stop().
    void run();
    void stop();

  private:
    struct Slot {
        std::shared_ptr<SocketHandler> handler;
        std::uint32_t generation = 0;
    };

    struct Posted {
        std::vector<std::function<void()>> actions;
        bool stopped = false;
    };

    SocketLoop(UniqueFd epoll, UniqueFd wake)
        : epoll_(std::move(epoll))
        , wake_(std::move(wake)) {}

    int milliseconds_to_next_timer() const;
    void run_timers();
    bool run_posted(); // false once stopped
    void wake();
    std::uint64_t token_of(int fd) const;

    UniqueFd epoll_;
    UniqueFd wake_;
    std::vector<Slot> slots_; // by descriptor
    std::map<TimerId, std::function<void()>> timers_;
    std::uint64_t timer_count_ = 0;
    Synchronized<Posted> posted_;
};

} // namespace berth::network
