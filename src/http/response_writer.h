// SPDX-License-Identifier: Apache-2.0
// How a handler answers: at once, in pieces, with a file, as a stream without a thread, or by
// taking the connection over. An interface, so that handlers can be tested without sockets.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "http/stream.h"
#include "http/websocket.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::http {

// A connection that left the server: non-blocking, close-on-exec, owned by the handler.
struct Hijacked {
    UniqueFd fd;
    std::string leftover; // bytes that came behind the request and were read already
};

// Used by the thread that runs the handler. A response is begun once; a second begin is Internal.
// A failed write means that the client is gone (Cancelled) or does not read (DeadlineExceeded).
class ResponseWriter {
  public:
    ResponseWriter() = default;
    ResponseWriter(const ResponseWriter&) = delete;
    ResponseWriter& operator=(const ResponseWriter&) = delete;
    virtual ~ResponseWriter() = default;

    // A whole response in one packet. Content-Length is set here; for HEAD the body is not sent but
    // its length is. 204 and 304 have no body.
    virtual Result<void> respond(unsigned status, Headers headers, std::string_view body = {}) = 0;

    // Sends the head. With a Content-Length in headers the body is sent as it is, otherwise chunked
    // (or, to HTTP/1.0, ended by closing). Each write() goes out at once.
    virtual Result<void> begin(unsigned status, Headers headers) = 0;
    virtual Result<void> write(std::string_view bytes) = 0;
    virtual Result<void> finish() = 0;

    // Part of a file by sendfile(2), with Content-Length.
    virtual Result<void> send_file(
        unsigned status,
        Headers headers,
        FdRef file,
        std::uint64_t offset,
        std::uint64_t length) = 0;

    // Moves the connection into the server's loop: the handler may return, the worker is free.
    virtual Result<std::shared_ptr<Stream>>
    into_stream(unsigned status, Headers headers, StreamOptions options = {}) = 0;

    // Takes the connection. Nothing of a response has been sent: the new owner writes
    // upgrade_response(). With TLS it is the end of a relay, which looks the same.
    // REQUIRES: the body was read to its end.
    virtual Result<Hijacked> hijack() = 0;

    // Answers 101 and takes the connection: the end of a relay that makes frames of what is written
    // and gives what comes in frames. InvalidArgument when the request asks for no websocket.
    virtual Result<UniqueFd> hijack_websocket(Websocket::Kind) {
        return not_implemented("websockets are not possible here");
    }

    // True once a response, or part of one, was sent or the connection was taken.
    virtual bool begun() const = 0;
};

// The head that begins a hijacked stream, as dockerd writes it: 101 UPGRADED when the client asked
// for an upgrade, otherwise 200 OK.
std::string upgrade_response(const Request& request, std::string_view content_type);

inline constexpr std::string_view raw_stream_type = "application/vnd.docker.raw-stream";
inline constexpr std::string_view multiplexed_stream_type =
    "application/vnd.docker.multiplexed-stream";

} // namespace berth::http
