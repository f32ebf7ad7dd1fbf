// SPDX-License-Identifier: Apache-2.0
// A response that goes on without a thread: its connection lives in the server's epoll loop and
// anybody may send to it (events, followed logs, stats, wait).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace berth::http {

// What happens when the client reads more slowly than we send.
enum class SlowReader : std::uint8_t {
    Disconnect,   // the connection is closed
    DropOldest,   // whole messages that were not sent yet are dropped, oldest first
    BackPressure, // send() takes nothing and says Full; on_writable() tells when to try again
};

struct StreamOptions {
    std::size_t buffer_limit = 1U << 20;
    SlowReader slow_reader = SlowReader::Disconnect;
};

// All functions may be called from any thread. Callbacks run in the server's loop thread (or in
// the caller's when it already is so) and must not block; they may call back into the stream.
class Stream {
  public:
    enum class Outcome : std::uint8_t { Sent, Full, Closed };

    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    virtual ~Stream() = default;

    // One message, sent at once where the socket takes it and queued otherwise. Each becomes one
    // chunk. A message larger than the whole buffer limit is taken when the queue is empty.
    virtual Outcome send(std::string bytes) = 0;

    // Ends the response after what is queued; the connection is then ready for the next request.
    virtual void finish() = 0;

    // Called once, when the client hung up or the response ended; at once if that was before.
    virtual void on_close(std::function<void()> callback) = 0;

    // Called each time the queue has room again after a send() that said Full.
    virtual void on_writable(std::function<void()> callback) = 0;

    virtual bool closed() const = 0;
};

} // namespace berth::http
