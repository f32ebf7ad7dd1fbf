// SPDX-License-Identifier: Apache-2.0
// Carries bytes between a connection that cannot be handed to another process, because what it
// carries is encrypted or framed in this one, and a socket that can. Internal to this library.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"
#include "http/tls.h"
#include "http/websocket.h"
#include "io/event_loop.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace berth::http {

// The side that cannot be handed over; non-blocking.
struct RelayedConnection {
    UniqueFd fd;
    std::unique_ptr<TlsSession> tls;
    std::optional<Websocket> websocket;
    std::string received; // of it, before the relay began
    std::string to_send;  // before anything else
};

// A thread for all relays of a server or client, started with the first of them. The far end of a
// relay is a stream socket: its end of input is the connection's, either way; a slow side makes
// the other wait. Thread-safe.
class Relays {
  public:
    Relays() = default;
    Relays(const Relays&) = delete;
    Relays& operator=(const Relays&) = delete;
    // Ends those that are left.
    ~Relays();

    // The far end: blocking, close-on-exec.
    Result<UniqueFd> start(RelayedConnection connection);

    // Waits until all have ended, at most that long.
    void wait_for_end(std::chrono::milliseconds limit);

  private:
    class Relay;

    // Outlives the relays.
    struct Count {
        std::mutex mutex;
        std::condition_variable changed;
        std::size_t running = 0;
    };

    std::shared_ptr<Count> count_ = std::make_shared<Count>();
    Synchronized<std::unique_ptr<io::EventLoopThread>> thread_;
};

} // namespace berth::http
