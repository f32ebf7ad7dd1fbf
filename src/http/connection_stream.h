// SPDX-License-Identifier: Apache-2.0
// Stream over a connection of the loop. Internal to this library.
#pragma once

#include "http/connection_loop.h"
#include "http/stream.h"

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace berth::http {

// The loop calls hang_up() before it closes the descriptor; until then send() may use it.
class ConnectionStream final : public Stream {
  public:
    struct Setup {
        bool chunked;
        bool keep_alive;
        bool discard; // the answer to HEAD
        std::string leftover;
        StreamOptions options;
    };

    ConnectionStream(std::shared_ptr<Server::Loop> loop, ConnectionRef connection, Setup setup);

    Outcome send(std::string bytes) override;
    void finish() override;
    void on_close(std::function<void()> callback) override;
    void on_writable(std::function<void()> callback) override;
    bool closed() const override;

    // --- called by the loop ---
    void flush();
    // False when the response had ended: the connection is somebody else's by now.
    bool hang_up();

  private:
    enum class Room : std::uint8_t { Yes, Full, Broken };

    Room ensure_room(std::size_t size);
    void enqueue(std::string_view bytes);
    void push(std::string message);
    void write_queued();
    void disconnect();
    void end(std::unique_lock<std::mutex> lock);

    const std::shared_ptr<Server::Loop> loop_;
    const ConnectionRef connection_;
    Setup setup_;

    mutable std::mutex mutex_; // guards all below
    std::deque<std::string> queue_;
    std::size_t sent_of_front_ = 0;
    std::size_t queued_bytes_ = 0;
    bool finished_ = false;
    bool broken_ = false;
    bool closed_ = false;
    bool starved_ = false; // a send() said Full
    std::function<void()> close_callback_;
    std::function<void()> writable_callback_;
};

} // namespace berth::http
