// SPDX-License-Identifier: Apache-2.0
// Messages of the monitor protocol, with descriptors, over a non-blocking stream socket.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "monitor/protocol.h"

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::monitor {

struct Message {
    MessageHeader header;
    std::string body;
    std::vector<UniqueFd> descriptors;
};

// Collects messages from a socket. Memory is bounded by message_limit.
class MessageReceiver {
  public:
    // Reads what is there, once. False at the other side's end.
    Result<bool> receive(FdRef socket);

    // The next whole message; nullopt when more bytes are needed. InvalidArgument when what came
    // is no message: the connection is of no use any more.
    Result<std::optional<Message>> next();

  private:
    std::string buffer_;
    std::deque<UniqueFd> descriptors_; // in the order of arrival
};

// Sends as much as the socket takes now, which may be nothing; the descriptors go with the first
// byte.
Result<std::size_t>
send_some(FdRef socket, std::string_view bytes, std::span<const int> descriptors);

// Waits until everything is sent.
Result<void> send_whole(FdRef socket, std::string_view bytes, std::span<const int> descriptors);

// True when the other side is root or runs as this process's user.
bool peer_is_trusted(FdRef socket);

} // namespace berth::monitor
