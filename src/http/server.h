// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 server: idle connections wait in one epoll loop at a few hundred bytes each; a
// request whose head is complete runs on a bounded pool of threads (docs/decisions/0002).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "http/tls.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::http {

class RelayHost;

// A blocking function. The token fires when the client hangs up or the server stops. A handler
// that returns without an answer gets 500 sent for it.
using Handler = std::function<void(std::stop_token, Request&, Body&, ResponseWriter&)>;

struct Limits {
    std::size_t connections = 8192;     // at the limit the longest idle one is closed, else 503
    std::size_t held_bytes = 64U << 20; // of unfinished requests of all connections: 503
    // A body up to that length is awaited without a worker, with its head and in its time.
    std::size_t awaited_body_bytes = 64U << 10;
    std::size_t head_bytes = 64U << 10;          // 431
    std::size_t header_fields = 256;             // 431
    std::uint64_t body_bytes = 16U << 20;        // 413; a route changes it with Body::set_limit()
    std::chrono::milliseconds head_time{30'000}; // from first byte to the end of the head: 408
    std::chrono::milliseconds idle_time{0};      // between requests; 0: for ever, as dockerd
    std::chrono::milliseconds transfer_time{300'000}; // without a byte moved in a body
};

// A request that a handler is done with. A stream or a connection that was taken goes on.
struct Answered {
    std::string_view method;
    unsigned status = 0; // 0: the handler did not answer; 101: the connection was taken
    std::chrono::nanoseconds duration{0};
};

struct ErrorBody {
    std::string content_type;
    std::string body;
};

struct ServerOptions {
    Handler handler;
    Limits limits;
    std::size_t worker_threads = 64; // started on demand; one that waits for a body is not free
    std::size_t worker_queue = 1024; // more gives 503
    std::size_t worker_stack_bytes = 512U << 10;
    std::string worker_name = "http";
    // The body of errors that the server itself answers (400, 408, 413, 431, 500, 503); plain text
    // unless set.
    std::function<ErrorBody(unsigned status, std::string_view message)> error_body;
    // Called by workers; may be empty.
    std::function<void(const Answered&)> answered;
    // Sent with every response, after the handler's own ("Server", "Api-Version").
    Headers default_headers;
    // For connections that are taken and cannot leave the process that encrypts or frames them.
    // nullptr: this process, with which they end.
    std::shared_ptr<RelayHost> relays;
};

// All functions may be called from any thread.
class Server {
  public:
    static Result<std::unique_ptr<Server>> create(ServerOptions options);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    // stop() without grace.
    ~Server();

    // A socket file that exists is replaced only when nobody listens on it; Conflict otherwise.
    // The group is set when given. The file is removed when the server ends.
    Result<void> listen_unix(const std::string& path, mode_t mode, std::optional<gid_t> group = {});

    // "127.0.0.1:2375", "[::1]:0", ":5000", "localhost:0"; the port that was bound. With TLS where
    // it is given.
    Result<std::uint16_t>
    listen_tcp(std::string_view address, std::shared_ptr<TlsContext> tls = nullptr);

    // A listening socket that somebody else bound (systemd). TLS is for one of TCP.
    Result<void> adopt(UniqueFd listener, std::shared_ptr<TlsContext> tls = nullptr);

    // Starts the loop's thread; listeners may be added before and after.
    Result<void> start();

    // Takes no more connections and closes idle ones; after `grace` fires the stop tokens of
    // requests that still run and closes their connections. Returns when no handler runs. Hijacked
    // connections live on; those that go through this process (ServerOptions::relays) get the grace
    // to end.
    void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(0));

    std::size_t connection_count() const;

    class Loop;

  private:
    explicit Server(std::shared_ptr<Loop> loop);

    std::shared_ptr<Loop> loop_;
};

} // namespace berth::http
