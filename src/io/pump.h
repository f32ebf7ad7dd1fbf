// SPDX-License-Identifier: Apache-2.0
// Pump: copies one descriptor to another inside an event loop, bounded, with half-close.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/event_loop.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace berth::io {

// Slow sink: back-pressure; at most one buffer is held, then the source is not read. At the
// source's end the sink is closed for writing: shutdown(SHUT_WR) for a socket, close for anything
// else. Two pumps over the same connection need a duplicate of the descriptor each (the loop
// watches a descriptor once). Regular files do not work (epoll refuses them). Use in the loop's
// thread only; destroying the pump stops it, and then the callback is not called.
class Pump {
  public:
    struct Options {
        std::size_t buffer_size = 32U << 10;
        std::string prefix;     // written to the sink before what is read
        bool close_sink = true; // false: the sink is left as it is at the source's end
    };

    // Called once, from the loop: the number of bytes that were copied, or what went wrong. It may
    // destroy the pump.
    using Done = std::move_only_function<void(Result<std::uint64_t>)>;

    // Both descriptors become non-blocking.
    static Result<std::unique_ptr<Pump>>
    start(EventLoop& loop, UniqueFd source, UniqueFd sink, Options options, Done done);
    Pump(const Pump&) = delete;
    Pump& operator=(const Pump&) = delete;
    ~Pump();

  private:
    Pump(EventLoop& loop, UniqueFd source, UniqueFd sink, Options options, Done done);

    void handle_source(std::uint32_t events);
    void handle_sink(std::uint32_t events);
    Result<void> read_some();
    Result<void> write_some();
    void settle(Result<void> result);
    void finish(Result<std::uint64_t> result);
    void unregister();

    EventLoop& loop_;
    UniqueFd source_;
    UniqueFd sink_;
    Options options_;
    Done done_;
    std::string buffer_;
    std::size_t written_ = 0; // of buffer_
    std::uint64_t copied_ = 0;
    bool at_end_ = false;
    bool source_hung_up_ = false; // and is not watched
};

} // namespace berth::io
