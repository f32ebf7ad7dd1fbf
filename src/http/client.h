// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP/1.1 client over a Unix or TCP socket, with TLS where it is given: the command
// line and tests speak to the engine with it.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/stream.h"
#include "http/headers.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace berth::http {

class TlsClient; // http/tls_client.h

struct Endpoint {
    enum class Kind : std::uint8_t { Unix, Tcp };

    Kind kind = Kind::Unix;
    std::string path; // Unix: the socket file
    std::string host; // Tcp
    std::uint16_t port = 0;

    // "unix:///run/x.sock", "tcp://host:2375", "http://host:port" (no path); the default port of
    // tcp is 2375, of http 80. NotImplemented for other schemes.
    static Result<Endpoint> parse(std::string_view text);
    std::string to_string() const;
};

struct ClientRequest {
    std::string method = "GET";
    std::string target = "/";
    Headers headers;  // Host, Content-Length, Transfer-Encoding are set by the client
    std::string body; // sent with its length, also when empty for POST, PUT, PATCH
    ByteSource* body_source = nullptr; // instead of body: sent chunked, or with body_length
    std::optional<std::uint64_t> body_length;
    // From the request's first byte to the answer's last, once there is a connection; 0: for ever.
    std::chrono::milliseconds answer_time{0};
};

// Reading `body` to its end makes the connection free for the next request; destroying the
// response sooner closes the connection.
struct Response {
    unsigned status = 0;
    std::string reason;
    Headers headers;
    std::unique_ptr<ByteSource> body; // never null

    Result<std::string> read_body(std::size_t limit = 64U << 20);
};

// The answer to an upgrade: the connection is there when the server agreed (101, or 200 with a raw
// stream as old daemons answer); otherwise `response` tells why, as usual.
struct Upgraded {
    Response response;
    UniqueFd connection; // blocking, close-on-exec; with TLS it lives as long as the client
    std::string leftover;
};

struct ClientOptions {
    std::chrono::milliseconds connect_time{10'000};
    std::string user_agent = "berth";
    std::shared_ptr<TlsClient> tls; // of TCP connections
};

// Thread-safe; requests in parallel use connections of their own, finished ones are reused.
// Errors: Unavailable when the server cannot be reached (errno tells why: ENOENT, ECONNREFUSED,
// EACCES is Forbidden), DataLoss when it hangs up in the middle of an answer.
class Client {
  public:
    using Options = ClientOptions;

    // Does not connect yet.
    explicit Client(Endpoint endpoint, Options options = {});
    // Connects, to fail early.
    static Result<Client> connect(Endpoint endpoint, Options options = {});

    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();

    Result<Response> request(const ClientRequest& request);
    Result<Response> get(std::string target);
    Result<Response> post_json(std::string target, std::string json);

    // Adds "Connection: Upgrade" and "Upgrade: <protocol>". The connection is never reused.
    Result<Upgraded> upgrade(ClientRequest request, std::string_view protocol = "tcp");

    const Endpoint& endpoint() const;

    class Pool;

  private:
    std::shared_ptr<Pool> pool_;
};

} // namespace berth::http
