// SPDX-License-Identifier: Apache-2.0
// TLS for a client's connections. OpenSSL is loaded when it is wanted: a command line that speaks
// to a socket of its own machine must not pay for it.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/tls.h"

#include <memory>
#include <string>

namespace berth::http {

struct TlsClientOptions {
    bool verify = true;              // the server's certificate and name
    std::string ca_file;             // PEM; empty: the system's authorities
    bool system_authorities = false; // beside those of ca_file
    std::string certificate_file;    // PEM; empty: the client shows none
    std::string key_file;
};

// Thread-safe.
class TlsClient {
  public:
    // InvalidArgument names the file that is wrong; NotImplemented where OpenSSL is not installed.
    static Result<std::shared_ptr<TlsClient>> create(const TlsClientOptions& options);

    TlsClient() = default;
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;
    virtual ~TlsClient() = default;

    // `host` is the name or address that the certificate must have; fd must outlive the session.
    virtual Result<std::unique_ptr<TlsSession>>
    connect(FdRef fd, const std::string& host) const = 0;
    // Why a handshake failed, after its session said so.
    virtual std::string failure(const TlsSession& session) const = 0;
};

} // namespace berth::http
