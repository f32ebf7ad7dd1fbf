// SPDX-License-Identifier: Apache-2.0
// TLS for the server's connections, over OpenSSL. The calls behave like those of a non-blocking
// socket, so that the loop and its workers need not know the difference.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/tls_identity.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::http {

struct TlsOptions {
    enum class Minimum : std::uint8_t { Version12, Version13 };

    std::string certificate_file; // PEM: the server's own first, then what leads to its root
    std::string key_file;         // PEM
    std::string client_ca_file;   // when set, clients must show a certificate of these
    Minimum minimum = Minimum::Version12;
};

// One connection. One thread at a time; the descriptor belongs to the connection.
class TlsSession {
  public:
    enum class Step : std::uint8_t { Done, WantsRead, WantsWrite, Failed };

    TlsSession() = default;
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;
    virtual ~TlsSession() = default;

    // To be called again when the socket is ready for what it wants.
    virtual Step handshake() = 0;
    virtual bool established() const = 0;
    // Once established: of the other side.
    virtual TlsIdentity peer() const = 0;

    // As recv(2) and send(2) without flags: -1 with errno, EAGAIN too; 0 is the peer's end.
    virtual ssize_t receive(std::span<char> buffer) = 0;
    virtual ssize_t send(std::string_view bytes) = 0;

    // Received and decrypted, or about to be, without the socket becoming readable again.
    virtual bool has_pending() const = 0;
    // Tells the peer that nothing more comes.
    virtual void finish() = 0;
};

// Certificate and key, shared by the connections of a listener. Thread-safe. An interface, so that
// only programs that call create() load OpenSSL's TLS library.
class TlsContext {
  public:
    static Result<std::shared_ptr<TlsContext>> create(const TlsOptions& options);

    TlsContext() = default;
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;
    virtual ~TlsContext() = default;

    // fd must outlive the session.
    virtual Result<std::unique_ptr<TlsSession>> accept(FdRef fd) const = 0;
};

} // namespace berth::http
