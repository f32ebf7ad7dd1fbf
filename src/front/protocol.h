// SPDX-License-Identifier: Apache-2.0
// What the engine and its front tell each other. Control messages are packets of one socket, with
// descriptors. What the front tells of a connection stands before its first byte, so that nobody
// has to find out which connection is meant.
#pragma once

#include "base/result.h"
#include "http/tls.h"
#include "http/tls_identity.h"
#include "http/websocket.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace berth::front {

// A front takes orders only of an engine that speaks as it does: a package may put another build in
// the place of the one that runs.
inline constexpr std::string_view protocol_version = "1";

// The control socket in the front.
inline constexpr int control_fd = 3;

inline constexpr std::size_t message_limit = 8U << 20;
inline constexpr std::size_t identity_limit = 1U << 20;

// For the connections that come from then on.
struct UseTls {
    http::TlsMaterial material;
};

// Descriptors: the connection, and the end of a socket that carries its plain bytes behind the
// client's identity.
struct CarryTls {};

// Descriptors: the connection, and the end of a socket for what its frames carry.
struct CarryWebsocket {
    http::Websocket::Kind kind = http::Websocket::Kind::Binary;
    std::string received; // of the connection already
    std::string to_send;  // before anything else
};

using Message = std::variant<UseTls, CarryTls, CarryWebsocket>;

std::string encode(const Message& message);
Result<Message> decode(std::string_view bytes);

// The identity with its size before it.
std::string encode_identity(const http::TlsIdentity& identity);

inline constexpr std::size_t identity_size_bytes = 4;

// Of what follows these bytes; InvalidArgument beyond the limit.
Result<std::size_t> identity_size(std::string_view bytes);
Result<http::TlsIdentity> decode_identity(std::string_view bytes);

} // namespace berth::front
