// SPDX-License-Identifier: Apache-2.0
// https://www.rfc-editor.org/rfc/rfc6455#section-4.2
#include "base/strings.h"
#include "codec/base64.h"
#include "http/websocket.h"

#include <openssl/sha.h>

#include <array>

namespace berth::http {

namespace {

constexpr std::size_t key_bytes = 16;
constexpr std::string_view magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::string accept_value(std::string_view key) {
    const std::string text = std::string(key) + std::string(magic);
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
    // SAFETY: bytes are read as bytes.
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    return base64_encode(
        std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

} // namespace

Result<std::string> websocket_response(const Request& request) {
    if (request.method != "GET" || request.minor_version == 0 ||
        !equals_ignoring_case(request.upgrade_protocol(), "websocket")) {
        return invalid_argument("the request does not ask for a websocket: \"Connection: Upgrade\" "
                                "and \"Upgrade: websocket\" are required");
    }
    if (request.headers.get("Sec-WebSocket-Version") != "13") {
        return invalid_argument("Sec-WebSocket-Version must be 13");
    }
    const std::string_view key = trim(request.headers.get("Sec-WebSocket-Key"));
    const auto decoded = base64_decode(key);
    if (!decoded.ok() || decoded->size() != key_bytes) {
        return invalid_argument("Sec-WebSocket-Key must be 16 bytes in base64");
    }
    std::string head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                       accept_value(key) + "\r\n";
    // Whatever a client calls the stream, it is this stream; browsers want one of their names back.
    const std::string_view offered = request.headers.get("Sec-WebSocket-Protocol");
    const std::string_view first = trim(offered.substr(0, offered.find(',')));
    if (!first.empty()) {
        head += "Sec-WebSocket-Protocol: " + std::string(first) + "\r\n";
    }
    return head + "\r\n";
}

} // namespace berth::http
