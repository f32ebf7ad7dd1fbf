// SPDX-License-Identifier: Apache-2.0
// The server's side of a websocket (RFC 6455): the answer to its handshake, and its frames.
#pragma once

#include "base/result.h"
#include "http/message.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::http {

// The head that answers a request for a websocket. InvalidArgument for a request that is none.
Result<std::string> websocket_response(const Request& request);

// Frames of one connection, for one thread. What the peer sends is passed on as it comes: a frame
// may be as large as it likes, and none is held. Fragments and frames make no difference to the
// stream of bytes that they carry.
class Websocket {
  public:
    enum class Kind : std::uint8_t { Text, Binary }; // of the frames that we send

    explicit Websocket(Kind kind)
        : kind_(kind) {}

    Kind kind() const { return kind_; }

    struct Input {
        std::string data;  // what the peer's messages carried
        std::string reply; // frames that its control frames ask for
    };

    Input receive(std::string_view bytes);

    // The peer has closed, or broke the protocol: the last reply said so, and nothing follows.
    bool closed() const { return closed_; }

    std::string frame(std::string_view bytes) const;
    // We have nothing more to send.
    std::string close_frame() const;

  private:
    enum class Code : std::uint16_t { Normal = 1000, ProtocolError = 1002 };

    static std::string close_frame(Code code);
    // How many bytes of the front belong to a head; what it says, once it is whole.
    std::size_t take_head(std::string_view bytes);
    bool begin_frame();
    void end_control_frame(Input& input);
    void fail(Input& input);

    Kind kind_;
    std::string head_;    // of the frame that begins
    std::string control_; // payload of a control frame
    std::array<std::uint8_t, 4> mask_{};
    std::uint64_t left_ = 0; // of the payload
    std::size_t position_ = 0;
    std::uint8_t opcode_ = 0;
    bool in_frame_ = false;
    bool in_message_ = false; // its last fragment is yet to come
    bool closed_ = false;
};

} // namespace berth::http
