// SPDX-License-Identifier: Apache-2.0
// ControlConnection: the monitor's side of a connection to the engine.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/event_loop.h"
#include "monitor/channel.h"
#include "monitor/protocol.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace berth::monitor {

class ControlConnection {
  public:
    // What an engine that does not read may leave here before it is disconnected.
    static constexpr std::size_t queue_limit = 1U << 20;

    struct Handlers {
        // Answers a request. Must not destroy the connection.
        std::function<Notice(Request request, std::vector<UniqueFd>& descriptors)> on_request;
        // The other side is gone: the owner may destroy the connection, now or later.
        std::function<void(ControlConnection&)> on_closed;
    };

    // Makes the socket non-blocking and watches it.
    static Result<std::unique_ptr<ControlConnection>>
    open(io::EventLoop& loop, UniqueFd socket, Handlers handlers);
    ControlConnection(const ControlConnection&) = delete;
    ControlConnection& operator=(const ControlConnection&) = delete;
    ~ControlConnection();

    void tell(const Notice& notice) { send(encode(notice, 0)); }

    bool idle() const { return queue_.empty(); }

    bool broken() const { return broken_; }

  private:
    ControlConnection(io::EventLoop& loop, UniqueFd socket, Handlers handlers);

    void handle(std::uint32_t events);
    Result<bool> handle_readable();
    void send(std::string_view message);
    void flush();

    io::EventLoop& loop_;
    UniqueFd socket_;
    Handlers handlers_;
    MessageReceiver receiver_;
    std::string queue_;
    bool broken_ = false;
};

} // namespace berth::monitor
