// SPDX-License-Identifier: Apache-2.0
// A connection to a program that takes logs: stream or datagram, TCP, TLS, UDP or a unix socket.
// Every call has an end: by time, or by the stop token.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace berth::engine {

struct LogAddress {
    enum class Kind : std::uint8_t { Tcp, Tls, Udp, UnixStream, UnixDatagram };

    Kind kind = Kind::Tcp;
    std::string host;
    std::string port;
    std::string path; // of a unix socket

    bool is_datagram() const { return kind == Kind::Udp || kind == Kind::UnixDatagram; }
};

// "host:port", "[::1]:port" or a host alone, which gets the default port; an empty default makes
// the port a must.
struct HostPort {
    std::string host;
    std::string port;
};

Result<HostPort> parse_host_port(std::string_view text, std::string_view default_port);

struct LogTls {
    std::string ca_file;
    std::string certificate_file;
    std::string key_file;
    bool skip_verify = false;
};

inline constexpr std::chrono::milliseconds log_connection_time{10'000};

class LogConnection {
  public:
    // Fails in Go's words: "dial tcp 127.0.0.1:514: connect: connection refused".
    static Result<std::unique_ptr<LogConnection>>
    open(const LogAddress& address, const LogTls& tls, std::stop_token stop);

    LogConnection() = default;
    LogConnection(const LogConnection&) = delete;
    LogConnection& operator=(const LogConnection&) = delete;
    virtual ~LogConnection() = default;

    // How long the peer may take nothing while something is sent to it.
    void limit_sends(std::chrono::milliseconds limit) { send_limit_ = limit; }

    // All of it; one datagram, where it is one. Nobody there is no error of UDP.
    virtual Result<void> send(std::string_view bytes, std::stop_token stop) = 0;

    // At least one byte; Cancelled when the peer has closed.
    virtual Result<std::size_t>
    receive(std::span<char> buffer, std::chrono::milliseconds limit, std::stop_token stop) = 0;

    // The peer has closed a stream since: what is sent now would be lost without an error.
    virtual bool is_closed() = 0;

  protected:
    std::chrono::milliseconds send_limit() const { return send_limit_; }

  private:
    std::chrono::milliseconds send_limit_ = log_connection_time;
};

} // namespace berth::engine
