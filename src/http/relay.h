// SPDX-License-Identifier: Apache-2.0
// Carries bytes between a connection that cannot be handed to another process, because what it
// carries is encrypted or framed in this one, and a socket that can.
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

// Who runs relays. The far end of a relay is a stream socket: its end of input is the connection's,
// either way; a slow side makes the other wait. Thread-safe.
class RelayHost {
  public:
    RelayHost() = default;
    RelayHost(const RelayHost&) = delete;
    RelayHost& operator=(const RelayHost&) = delete;
    virtual ~RelayHost() = default;

    // The far end: blocking, close-on-exec.
    virtual Result<UniqueFd> start(RelayedConnection connection) = 0;

    // Waits for those that would end with this process, at most that long.
    virtual void wait_for_end(std::chrono::milliseconds limit) = 0;
};

// A thread for all relays of a process, started with the first of them.
class Relays final : public RelayHost {
  public:
    Relays() = default;
    // Ends those that are left.
    ~Relays() override;

    Result<UniqueFd> start(RelayedConnection connection) override;
    // With a near end whose peer is the far end already.
    Result<void> start(RelayedConnection connection, UniqueFd near_end);

    void wait_for_end(std::chrono::milliseconds limit) override;
    // However long it takes.
    void wait_for_end();

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
