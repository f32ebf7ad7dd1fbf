// SPDX-License-Identifier: Apache-2.0
// Channel: a stream socket that carries messages of the monitor protocol and descriptors.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "monitor/protocol.h"

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::monitor {

struct Message {
    MessageHeader header;
    std::string body;
    std::vector<UniqueFd> descriptors;
};

// Collects messages from a socket without blocking. Memory is bounded by message_limit.
class MessageReceiver {
  public:
    // Reads what is there once. False at the other side's end.
    Result<bool> receive(FdRef socket);

    // The next whole message; nullopt when more bytes are needed. InvalidArgument when what came
    // is no message: the connection is of no use any more.
    Result<std::optional<Message>> next();

  private:
    std::string buffer_;
    std::deque<UniqueFd> descriptors_; // in the order of arrival
};

// Sends as much as the socket takes, the descriptors with the first byte; the number of bytes sent,
// 0 when it takes none now.
Result<std::size_t>
send_some(FdRef socket, std::string_view bytes, const std::vector<FdRef>& descriptors);

// Waits (poll) until everything is sent.
Result<void>
send_whole(FdRef socket, std::string_view bytes, const std::vector<FdRef>& descriptors);

// A listening socket at a path, mode 0600; what was there is removed. And a connection to one;
// NotFound when nobody listens.
Result<UniqueFd> listen_at(const std::string& path);
Result<UniqueFd> connect_to(const std::string& path);

// True when the other side is root or runs as this process's user.
bool peer_is_trusted(FdRef socket);

} // namespace berth::monitor
