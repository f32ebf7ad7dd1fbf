// SPDX-License-Identifier: Apache-2.0
// TLS for the server's connections, over OpenSSL. The calls behave like those of a non-blocking
// socket, so that the loop and its workers need not know the difference.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/tls_identity.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
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

// What the files hold, for who cannot or must not read them.
struct TlsMaterial {
    struct Part {
        std::string file; // for errors
        std::string pem;
    };

    Part certificate;
    Part key;
    Part client_ca; // no name: clients show no certificate
    TlsOptions::Minimum minimum = TlsOptions::Minimum::Version12;
};

// Files of certificates, which are renewed every few weeks. One thread at a time.
class TlsFiles {
  public:
    explicit TlsFiles(TlsOptions options);

    Result<TlsMaterial> read() const;

    // Looks once a second at most, and gives files that changed to `use`: again later where it
    // fails, since half of the pair may be there yet.
    void refresh(const std::function<Result<void>(const TlsMaterial&)>& use);

  private:
    using Clock = std::chrono::steady_clock;
    using Version = std::array<std::int64_t, 4>; // modification times

    Version current_version() const;

    TlsOptions options_;
    Version version_;
    Clock::time_point checked_ = Clock::now();
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

    // Once established: what goes over the descriptor is plain, because another process encrypts
    // it. The session is of no more use.
    virtual bool leaves_plain_bytes() const { return false; }
};

// Certificate and key, shared by the connections of a listener. Thread-safe. An interface, so that
// only programs that call create() load OpenSSL's TLS library.
class TlsContext {
  public:
    // Files that change are read again, for the connections that come from then on.
    static Result<std::shared_ptr<TlsContext>> create(const TlsOptions& options);
    static Result<std::shared_ptr<TlsContext>> create(const TlsMaterial& material);

    TlsContext() = default;
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;
    virtual ~TlsContext() = default;

    // fd must outlive the session. Where another process does TLS, it becomes the end of a socket
    // to that one.
    virtual Result<std::unique_ptr<TlsSession>> accept(UniqueFd& fd) const = 0;
};

} // namespace berth::http
