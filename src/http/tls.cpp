// SPDX-License-Identifier: Apache-2.0
// OpenSSL writes to sockets with write(2), which raises SIGPIPE when the peer is gone: our BIO uses
// send(2) with MSG_NOSIGNAL.
#include "http/tls.h"

#include "base/free_with.h"
#include "base/synchronized.h"
#include "base/verify.h"
#include "http/tls_certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>

#include <sys/socket.h>

namespace berth::http {

namespace {

std::string openssl_error() {
    char text[256];
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) {
        return "unknown error";
    }
    ERR_error_string_n(code, text, sizeof(text));
    return text;
}

int socket_of(BIO* bio) {
    // SAFETY: accept() put the descriptor's number where OpenSSL keeps a pointer.
    return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

int bio_write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    ssize_t count = send(socket_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return static_cast<int>(count);
}

int bio_read(BIO* bio, char* data, int size) {
    BIO_clear_retry_flags(bio);
    ssize_t count = recv(socket_of(bio), data, static_cast<std::size_t>(size), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return static_cast<int>(count);
}

long bio_control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0; // nothing is buffered
}

int bio_create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
}

const BIO_METHOD* socket_method() {
    static BIO_METHOD* method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "socket");
        VERIFY(made != nullptr);
        BIO_meth_set_write(made, bio_write);
        BIO_meth_set_read(made, bio_read);
        BIO_meth_set_ctrl(made, bio_control);
        BIO_meth_set_create(made, bio_create);
        return made;
    }();
    return method;
}

// Clients that offer protocols by name get HTTP/1.1, or nothing said when they do not know it.
int choose_protocol(
    SSL*,
    const unsigned char** chosen,
    unsigned char* chosen_size,
    const unsigned char* offered,
    unsigned offered_size,
    void*) {
    constexpr std::string_view wanted = "http/1.1";
    for (unsigned i = 0; i < offered_size; i += offered[i] + 1U) {
        if (offered[i] == wanted.size() && i + 1 + wanted.size() <= offered_size &&
            std::memcmp(offered + i + 1, wanted.data(), wanted.size()) == 0) {
            *chosen = offered + i + 1;
            *chosen_size = offered[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

// In UTF-8, "" when there is none. As Go reads a subject, the last one counts.
std::string common_name(X509* certificate) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    int last = -1;
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
        last = at;
    }
    if (last < 0) {
        return {};
    }
    unsigned char* text = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (size < 0) {
        ERR_clear_error();
        return {};
    }
    // SAFETY: bytes are read as bytes.
    std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
    OPENSSL_free(text);
    return name;
}

std::string pem_text(X509* certificate) {
    std::unique_ptr<BIO, FreeWith<BIO_free_all>> memory(BIO_new(BIO_s_mem()));
    if (!memory || PEM_write_bio_X509(memory.get(), certificate) != 1) {
        ERR_clear_error();
        return {};
    }
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

using Ssl = std::unique_ptr<SSL, FreeWith<SSL_free>>;
using SslContext = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

class OpensslSession final : public TlsSession {
  public:
    explicit OpensslSession(Ssl ssl)
        : ssl_(std::move(ssl)) {}

    Step handshake() override;

    bool established() const override { return established_; }

    TlsIdentity peer() const override;

    ssize_t receive(std::span<char> buffer) override;
    ssize_t send(std::string_view bytes) override;

    bool has_pending() const override { return SSL_has_pending(ssl_.get()) == 1; }

    void finish() override;

  private:
    int error_of(int result) const;

    Ssl ssl_;
    bool established_ = false;
};

Result<SslContext> make_context(const TlsMaterial& material);

class OpensslContext final : public TlsContext {
  public:
    OpensslContext(std::optional<TlsFiles> files, SslContext context)
        : loaded_(Loaded{std::move(files), std::move(context)}) {}

    Result<std::unique_ptr<TlsSession>> accept(UniqueFd& fd) const override;

  private:
    struct Loaded {
        std::optional<TlsFiles> files; // nullopt: what was given stays
        SslContext context;
    };

    mutable Synchronized<Loaded> loaded_;
};

// errno for what a call returned.
int OpensslSession::error_of(int result) const {
    switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return EAGAIN;
    case SSL_ERROR_SYSCALL:
        return errno != 0 && errno != EAGAIN ? errno : ECONNRESET;
    default:
        return ECONNRESET;
    }
}

TlsSession::Step OpensslSession::handshake() {
    ERR_clear_error();
    int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
        established_ = true;
        return Step::Done;
    }
    switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
        return Step::WantsRead;
    case SSL_ERROR_WANT_WRITE:
        return Step::WantsWrite;
    default:
        // People forget the s of https; net/http's words.
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST) {
            constexpr std::string_view answer =
                "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
            [[maybe_unused]] int sent =
                bio_write(SSL_get_wbio(ssl_.get()), answer.data(), static_cast<int>(answer.size()));
        }
        ERR_clear_error();
        return Step::Failed;
    }
}

ssize_t OpensslSession::receive(std::span<char> buffer) {
    ERR_clear_error();
    errno = 0;
    std::size_t count = 0;
    int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
    if (result == 1) {
        return static_cast<ssize_t>(count);
    }
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    errno = error_of(result);
    return -1;
}

ssize_t OpensslSession::send(std::string_view bytes) {
    ERR_clear_error();
    errno = 0;
    std::size_t count = 0;
    int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
    if (result == 1) {
        return static_cast<ssize_t>(count);
    }
    errno = error_of(result);
    return -1;
}

TlsIdentity OpensslSession::peer() const {
    TlsIdentity identity;
    X509* own = SSL_get0_peer_certificate(ssl_.get());
    if (own == nullptr) {
        return identity;
    }
    identity.common_name = common_name(own);
    identity.certificates.push_back(pem_text(own));
    // A server's view of the chain is without the client's own certificate.
    STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl_.get());
    for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
        identity.certificates.push_back(pem_text(sk_X509_value(chain, i)));
    }
    return identity;
}

void OpensslSession::finish() {
    if (established_) {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
}

Result<std::unique_ptr<TlsSession>> OpensslContext::accept(UniqueFd& fd) const {
    Ssl ssl;
    {
        auto loaded = loaded_.lock();
        if (loaded->files) {
            loaded->files->refresh([&loaded](const TlsMaterial& material) -> Result<void> {
                loaded->context = TRY(make_context(material));
                return ok();
            });
        }
        ssl.reset(SSL_new(loaded->context.get())); // holds the context
    }
    BIO* bio = BIO_new(socket_method());
    if (!ssl || bio == nullptr) {
        BIO_free(bio);
        return internal_error("make a TLS session: " + openssl_error());
    }
    // SAFETY: a number in a pointer; nobody follows it.
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd.get())));
    SSL_set_bio(ssl.get(), bio, bio);
    SSL_set_accept_state(ssl.get());
    return std::unique_ptr<TlsSession>(std::make_unique<OpensslSession>(std::move(ssl)));
}

Result<SslContext> make_context(const TlsMaterial& material) {
    SslContext owned(SSL_CTX_new(TLS_server_method()));
    SSL_CTX* context = owned.get();
    if (context == nullptr) {
        return internal_error("make a TLS context: " + openssl_error());
    }
    bool only_13 = material.minimum == TlsOptions::Minimum::Version13;
    SSL_CTX_set_min_proto_version(context, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(
        context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    // A slow socket takes part of what is offered, and the rest is offered from another place.
    SSL_CTX_set_mode(
        context,
        SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
    constexpr unsigned char session_context[] = "berth";
    SSL_CTX_set_session_id_context(context, session_context, sizeof(session_context) - 1);
    if (!use_chain(context, material.certificate)) {
        return invalid_argument(
            "TLS certificate " + material.certificate.file + ": " + openssl_error());
    }
    if (!use_key(context, material.key)) {
        return invalid_argument("TLS key " + material.key.file + ": " + openssl_error());
    }
    if (!material.client_ca.file.empty() && !use_client_ca(context, material.client_ca)) {
        return invalid_argument(
            "certificates for TLS clients " + material.client_ca.file + ": " + openssl_error());
    }
    return owned;
}

} // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::create(const TlsOptions& options) {
    TlsFiles files(options);
    const TlsMaterial material = TRY(files.read());
    SslContext context = TRY(make_context(material));
    return std::shared_ptr<TlsContext>(
        std::make_shared<OpensslContext>(std::move(files), std::move(context)));
}

Result<std::shared_ptr<TlsContext>> TlsContext::create(const TlsMaterial& material) {
    SslContext context = TRY(make_context(material));
    return std::shared_ptr<TlsContext>(
        std::make_shared<OpensslContext>(std::nullopt, std::move(context)));
}

} // namespace berth::http
