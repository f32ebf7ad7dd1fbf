// SPDX-License-Identifier: Apache-2.0
// OpenSSL over a socket that does not block.
#include "engine/log_drivers/log_tls.h"

#include "base/free_with.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

#include <arpa/inet.h>
#include <poll.h>

namespace berth::engine {
namespace {

using std::chrono::milliseconds;
using ContextPtr = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, FreeWith<SSL_free>>;

Error tls_error(const std::string& what) {
    std::array<char, 256> text{};
    const unsigned long number = ERR_get_error();
    ERR_error_string_n(number, text.data(), text.size());
    return {
        ErrorKind::Unavailable,
        "tls: " + what + (number == 0 ? "" : std::string(": ") + text.data())};
}

class TlsConnection final : public LogConnection {
  public:
    TlsConnection(UniqueFd fd, ContextPtr context, SslPtr ssl)
        : fd_(std::move(fd))
        , context_(std::move(context))
        , ssl_(std::move(ssl)) {}

    ~TlsConnection() override { (void)SSL_shutdown(ssl_.get()); }

    Result<void> shake_hands(const std::stop_token& stop) {
        while (true) {
            ERR_clear_error();
            const int result = SSL_connect(ssl_.get());
            if (result == 1) {
                return ok();
            }
            TRY(wait(result, "handshake", log_connection_time, stop));
        }
    }

    Result<void> send(std::string_view bytes, std::stop_token stop) override {
        while (!bytes.empty()) {
            std::size_t count = 0;
            ERR_clear_error();
            const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
            if (result != 1) {
                TRY(wait(result, "write", log_connection_time, stop));
            }
            bytes.remove_prefix(count);
        }
        return ok();
    }

    Result<std::size_t>
    receive(std::span<char> buffer, milliseconds limit, std::stop_token stop) override {
        while (true) {
            std::size_t count = 0;
            ERR_clear_error();
            const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
            if (result == 1) {
                return count;
            }
            TRY(wait(result, "read", limit, stop));
        }
    }

    // Looks for the peer's farewell; also takes in session tickets, which are no application data.
    bool is_closed() override {
        char byte = 0;
        std::size_t count = 0;
        ERR_clear_error();
        const int result = SSL_peek_ex(ssl_.get(), &byte, 1, &count);
        const int reason = SSL_get_error(ssl_.get(), result);
        return result != 1 && reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE;
    }

  private:
    Result<void>
    wait(int result, const std::string& what, milliseconds limit, const std::stop_token& stop) {
        switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return wait_for_socket(fd_, POLLIN, limit, stop);
        case SSL_ERROR_WANT_WRITE:
            return wait_for_socket(fd_, POLLOUT, limit, stop);
        case SSL_ERROR_ZERO_RETURN:
            return Error(ErrorKind::Cancelled, "the connection was closed");
        default:
            return tls_error(what);
        }
    }

    UniqueFd fd_;
    ContextPtr context_;
    SslPtr ssl_;
};

Result<ContextPtr> make_context(const LogTls& tls) {
    ContextPtr context(SSL_CTX_new(TLS_client_method()));
    if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
        return tls_error("context");
    }
    SSL_CTX_set_verify(context.get(), tls.skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    // As Docker does: the given authorities beside the system's.
    (void)SSL_CTX_set_default_verify_paths(context.get());
    if (!tls.ca_file.empty() &&
        SSL_CTX_load_verify_locations(context.get(), tls.ca_file.c_str(), nullptr) != 1) {
        return tls_error("could not read CA certificate \"" + tls.ca_file + "\"");
    }
    if (!tls.certificate_file.empty() &&
        SSL_CTX_use_certificate_chain_file(context.get(), tls.certificate_file.c_str()) != 1) {
        return tls_error("could not load certificate \"" + tls.certificate_file + "\"");
    }
    if (!tls.key_file.empty() &&
        SSL_CTX_use_PrivateKey_file(context.get(), tls.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        return tls_error("could not load key \"" + tls.key_file + "\"");
    }
    return context;
}

// A name or an address that the server's certificate must have.
bool expect_host(SSL* ssl, const std::string& host) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    const bool is_address = inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
                            inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
    if (is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
    }
    return SSL_set1_host(ssl, host.c_str()) == 1 && SSL_ctrl(
                                                        ssl,
                                                        SSL_CTRL_SET_TLSEXT_HOSTNAME,
                                                        TLSEXT_NAMETYPE_host_name,
                                                        const_cast<char*>(host.c_str())) == 1;
}

} // namespace

Result<std::unique_ptr<LogConnection>>
open_log_tls(UniqueFd fd, const std::string& host, const LogTls& tls, std::stop_token stop) {
    ContextPtr context = TRY(make_context(tls));
    SslPtr ssl(SSL_new(context.get()));
    if (!ssl || SSL_set_fd(ssl.get(), fd.get()) != 1 ||
        (!tls.skip_verify && !expect_host(ssl.get(), host.empty() ? "localhost" : host))) {
        return tls_error("connection");
    }
    auto connection =
        std::make_unique<TlsConnection>(std::move(fd), std::move(context), std::move(ssl));
    TRY(connection->shake_hands(stop));
    return std::unique_ptr<LogConnection>(std::move(connection));
}

} // namespace berth::engine
