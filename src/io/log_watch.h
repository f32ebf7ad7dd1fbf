// SPDX-License-Identifier: Apache-2.0
// LogWatch: tells followers of logs that there is more to read. One inotify instance for all of
// them: the kernel allows a user only 128.
#pragma once

#include "base/result.h"
#include "io/event_loop.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace berth::io {

// Lives in an event loop; all functions are thread-safe. Destroy it in the loop's thread or when
// the loop does not run any more; its subscriptions are never called from then on.
class LogWatch {
  public:
    class Subscription;

    // Everything, or only that a file has come: who waits for rotations is not woken by each line.
    enum class Tells : std::uint8_t { Writes, NewFiles };

    static Result<std::shared_ptr<LogWatch>> create(EventLoop& loop, Tells tells = Tells::Writes);
    LogWatch(const LogWatch&) = delete;
    LogWatch& operator=(const LogWatch&) = delete;
    ~LogWatch();

    // `changed` is called in the loop's thread after records were appended to a log in `directory`
    // or its files rotated. Read to the end once after subscribing: what was written before is not
    // told. A destroyed subscription is never called again, except when it is destroyed by another
    // thread while the call is under way.
    Result<std::unique_ptr<Subscription>>
    subscribe(const std::string& directory, std::function<void()> changed);

  private:
    struct State;
    explicit LogWatch(std::shared_ptr<State> state);

    std::shared_ptr<State> state_;
};

class LogWatch::Subscription {
  public:
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;
    ~Subscription();

  private:
    friend class LogWatch;

    Subscription(std::shared_ptr<State> state, int watch, std::uint64_t id)
        : state_(std::move(state))
        , watch_(watch)
        , id_(id) {}

    std::shared_ptr<State> state_;
    int watch_;
    std::uint64_t id_;
};

} // namespace berth::io
