// SPDX-License-Identifier: Apache-2.0
// A request as a handler sees it: its head as values, its body as a source of bytes.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "http/headers.h"
#include "http/query.h"
#include "http/tls_identity.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::http {

// Who is at the other end of the connection.
struct Peer {
    // Of a Unix socket's peer, taken when it connected.
    struct Credentials {
        pid_t pid;
        uid_t uid;
        gid_t gid;
    };

    std::optional<Credentials> credentials;
    std::string address; // "127.0.0.1:4711" or "[::1]:4711"; "@" for a Unix socket
    std::shared_ptr<const TlsIdentity> tls; // nullptr: no TLS
};

struct Request {
    std::string method; // as sent: "GET"
    std::string target; // as sent: "/v1.41/images/a%2Fb/json?x=1"
    std::string path;   // decoded, without query: "/v1.41/images/a/b/json"
    Query query;
    Headers headers;
    std::uint8_t minor_version = 1; // of HTTP/1
    Peer peer;

    // What the client offers to change to ("tcp", "h2c"); "" when it asks for no upgrade.
    std::string_view upgrade_protocol() const;
};

// The body of a request, limited: a longer one gives ResourceExhausted, and the server answers 413
// when the handler has not begun to. Reading sends "100 Continue" where the client waits for it.
class Body final : public ByteSource {
  public:
    static constexpr std::uint64_t unlimited = UINT64_MAX;

    // source must outlive the object. length is nullopt for a chunked body.
    Body(ByteSource& source, std::optional<std::uint64_t> length, std::uint64_t limit)
        : source_(source)
        , length_(length)
        , limit_(limit) {}

    Result<std::size_t> read(std::span<char> buffer) override;
    // All that is left; also fails when it is longer than `limit` though the body's own limit is
    // greater.
    Result<std::string> read_all(std::uint64_t limit = unlimited);

    // What Content-Length says; 0 without a body, nullopt for a chunked one.
    std::optional<std::uint64_t> length() const { return length_; }

    // A route that takes more or less than Limits::body_bytes says so before it reads.
    void set_limit(std::uint64_t limit) { limit_ = limit; }

    std::uint64_t limit() const { return limit_; }

    std::uint64_t consumed() const { return consumed_; }

    // True once a read failed because the limit was passed.
    bool limit_passed() const { return limit_passed_; }

  private:
    Error too_large();

    ByteSource& source_;
    std::optional<std::uint64_t> length_;
    std::uint64_t limit_;
    std::uint64_t consumed_ = 0;
    bool limit_passed_ = false;
};

// "Not Found" for 404; "" for a status that has no phrase here.
std::string_view reason_phrase(unsigned status);

} // namespace berth::http
