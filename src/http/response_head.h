// SPDX-License-Identifier: Apache-2.0
// The bytes of a response's head, and of the errors that the server itself answers. Internal.
#pragma once

#include "http/server.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::http {

// How the body's end is told.
struct Framing {
    enum class Kind : std::uint8_t { Length, Chunked, Close, None };

    Kind kind = Kind::None;
    std::uint64_t length = 0; // Kind::Length
    bool keep_alive = true;
    std::uint8_t minor_version = 1; // of the request
};

// Status line, headers, default headers that are not among them, Date and framing, ending in an
// empty line. Line breaks in values become spaces.
std::string response_head(
    const ServerOptions& options, unsigned status, const Headers& headers, const Framing& framing);

// A whole response after which the connection closes.
std::string error_response(const ServerOptions& options, unsigned status, std::string_view message);

// RFC 9112, 2.2: empty lines before a request are ignored.
void drop_empty_lines(std::string& bytes);

// False as soon as the bytes cannot become a request: a TLS client, for one, is told at once and
// can try plain HTTP.
bool may_be_request(std::string_view bytes);

// Whether a worker has something to do: the head is there, and with it a body that is awaited.
bool may_be_served(std::string_view bytes, const Limits& limits);

} // namespace berth::http
