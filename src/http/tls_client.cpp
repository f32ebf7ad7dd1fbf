// SPDX-License-Identifier: Apache-2.0
// OpenSSL's functions by their names in the library that was loaded; their types are those of its
// headers. The names are OpenSSL 3's, whose libraries promise them.
#include "http/tls_client.h"

#include "base/without_sigpipe.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <cerrno>
#include <utility>

#include <arpa/inet.h>
#include <dlfcn.h>

namespace berth::http {

namespace {

struct Openssl {
    decltype(&::TLS_client_method) tls_client_method;
    decltype(&::SSL_CTX_new) ctx_new;
    decltype(&::SSL_CTX_free) ctx_free;
    decltype(&::SSL_CTX_ctrl) ctx_ctrl;
    decltype(&::SSL_CTX_load_verify_locations) load_verify_locations;
    decltype(&::SSL_CTX_set_default_verify_paths) default_verify_paths;
    decltype(&::SSL_CTX_use_certificate_chain_file) use_certificate_chain_file;
    decltype(&::SSL_CTX_use_PrivateKey_file) use_private_key_file;
    decltype(&::SSL_CTX_check_private_key) check_private_key;
    decltype(&::SSL_CTX_set_verify) set_verify;
    decltype(&::SSL_new) ssl_new;
    decltype(&::SSL_free) ssl_free;
    decltype(&::SSL_ctrl) ssl_ctrl;
    decltype(&::SSL_set_fd) set_fd;
    decltype(&::SSL_set_connect_state) set_connect_state;
    decltype(&::SSL_set1_host) set1_host;
    decltype(&::SSL_get0_param) get0_param;
    decltype(&::SSL_do_handshake) do_handshake;
    decltype(&::SSL_get_error) get_error;
    decltype(&::SSL_get_verify_result) get_verify_result;
    decltype(&::SSL_read_ex) read_ex;
    decltype(&::SSL_write_ex) write_ex;
    decltype(&::SSL_has_pending) has_pending;
    decltype(&::SSL_shutdown) shutdown;
    decltype(&::X509_VERIFY_PARAM_set1_ip_asc) set1_ip_asc;
    decltype(&::X509_verify_cert_error_string) verify_error_string;
    decltype(&::ERR_get_error) err_get;
    decltype(&::ERR_clear_error) err_clear;
    decltype(&::ERR_error_string_n) err_string;
};

template <class Function>
void find(void* library, const char* name, Function& function, bool& complete) {
    // SAFETY: the library's function of that name has the type of the header's declaration.
    function = reinterpret_cast<Function>(dlsym(library, name));
    complete = complete && function != nullptr;
}

// Never unloaded. nullptr where it is not there.
const Openssl* load() {
    // A library finds its symbols and those that it depends on (libcrypto's).
    void* library = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        return nullptr;
    }
    static Openssl all;
    bool complete = true;
    find(library, "TLS_client_method", all.tls_client_method, complete);
    find(library, "SSL_CTX_new", all.ctx_new, complete);
    find(library, "SSL_CTX_free", all.ctx_free, complete);
    find(library, "SSL_CTX_ctrl", all.ctx_ctrl, complete);
    find(library, "SSL_CTX_load_verify_locations", all.load_verify_locations, complete);
    find(library, "SSL_CTX_set_default_verify_paths", all.default_verify_paths, complete);
    find(library, "SSL_CTX_use_certificate_chain_file", all.use_certificate_chain_file, complete);
    find(library, "SSL_CTX_use_PrivateKey_file", all.use_private_key_file, complete);
    find(library, "SSL_CTX_check_private_key", all.check_private_key, complete);
    find(library, "SSL_CTX_set_verify", all.set_verify, complete);
    find(library, "SSL_new", all.ssl_new, complete);
    find(library, "SSL_free", all.ssl_free, complete);
    find(library, "SSL_ctrl", all.ssl_ctrl, complete);
    find(library, "SSL_set_fd", all.set_fd, complete);
    find(library, "SSL_set_connect_state", all.set_connect_state, complete);
    find(library, "SSL_set1_host", all.set1_host, complete);
    find(library, "SSL_get0_param", all.get0_param, complete);
    find(library, "SSL_do_handshake", all.do_handshake, complete);
    find(library, "SSL_get_error", all.get_error, complete);
    find(library, "SSL_get_verify_result", all.get_verify_result, complete);
    find(library, "SSL_read_ex", all.read_ex, complete);
    find(library, "SSL_write_ex", all.write_ex, complete);
    find(library, "SSL_has_pending", all.has_pending, complete);
    find(library, "SSL_shutdown", all.shutdown, complete);
    find(library, "X509_VERIFY_PARAM_set1_ip_asc", all.set1_ip_asc, complete);
    find(library, "X509_verify_cert_error_string", all.verify_error_string, complete);
    find(library, "ERR_get_error", all.err_get, complete);
    find(library, "ERR_clear_error", all.err_clear, complete);
    find(library, "ERR_error_string_n", all.err_string, complete);
    return complete ? &all : nullptr;
}

const Openssl* openssl() {
    static const Openssl* const loaded = load();
    return loaded;
}

struct FreeLoadedSsl {
    void operator()(SSL* ssl) const { openssl()->ssl_free(ssl); }
};

struct FreeLoadedContext {
    void operator()(SSL_CTX* context) const { openssl()->ctx_free(context); }
};

using LoadedSsl = std::unique_ptr<SSL, FreeLoadedSsl>;
using LoadedContext = std::unique_ptr<SSL_CTX, FreeLoadedContext>;

std::string last_error() {
    std::array<char, 256> text{};
    const unsigned long code = openssl()->err_get();
    openssl()->err_clear();
    if (code == 0) {
        return "unknown error";
    }
    openssl()->err_string(code, text.data(), text.size());
    return text.data();
}

class LoadedSession final : public TlsSession {
  public:
    explicit LoadedSession(LoadedSsl ssl)
        : ssl_(std::move(ssl)) {}

    Step handshake() override {
        const WithoutSigpipe guard;
        api_.err_clear();
        const int result = api_.do_handshake(ssl_.get());
        if (result == 1) {
            established_ = true;
            return Step::Done;
        }
        switch (api_.get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return Step::WantsRead;
        case SSL_ERROR_WANT_WRITE:
            return Step::WantsWrite;
        default:
            failure_ = last_error();
            if (const long why = api_.get_verify_result(ssl_.get()); why != X509_V_OK) {
                failure_ = api_.verify_error_string(why);
            }
            return Step::Failed;
        }
    }

    bool established() const override { return established_; }

    TlsIdentity peer() const override { return {}; }

    ssize_t receive(std::span<char> buffer) override {
        const WithoutSigpipe guard;
        api_.err_clear();
        errno = 0;
        std::size_t count = 0;
        const int result = api_.read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
        if (result == 1) {
            return static_cast<ssize_t>(count);
        }
        if (api_.get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) {
            return 0;
        }
        errno = error_of(result);
        return -1;
    }

    ssize_t send(std::string_view bytes) override {
        const WithoutSigpipe guard;
        api_.err_clear();
        errno = 0;
        std::size_t count = 0;
        const int result = api_.write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
        if (result == 1) {
            return static_cast<ssize_t>(count);
        }
        errno = error_of(result);
        return -1;
    }

    bool has_pending() const override { return api_.has_pending(ssl_.get()) == 1; }

    void finish() override {
        if (established_) {
            const WithoutSigpipe guard;
            api_.err_clear();
            api_.shutdown(ssl_.get());
            api_.err_clear();
        }
    }

    const std::string& failure() const { return failure_; }

  private:
    // errno for what a call returned. The server's alert says why it hangs up.
    int error_of(int result) {
        switch (api_.get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return EAGAIN;
        case SSL_ERROR_SYSCALL:
            return errno != 0 && errno != EAGAIN ? errno : ECONNRESET;
        default:
            failure_ = last_error();
            return ECONNRESET;
        }
    }

    const Openssl& api_ = *openssl();
    LoadedSsl ssl_;
    std::string failure_;
    bool established_ = false;
};

class LoadedClient final : public TlsClient {
  public:
    LoadedClient(LoadedContext context, bool verify)
        : context_(std::move(context))
        , verify_(verify) {}

    Result<std::unique_ptr<TlsSession>> connect(FdRef fd, const std::string& host) const override {
        const Openssl& api = *openssl();
        LoadedSsl ssl(api.ssl_new(context_.get()));
        if (!ssl || api.set_fd(ssl.get(), fd.get()) != 1) {
            return internal_error("make a TLS session: " + last_error());
        }
        in6_addr address{};
        const bool is_address = inet_pton(AF_INET, host.c_str(), &address) == 1 ||
                                inet_pton(AF_INET6, host.c_str(), &address) == 1;
        int named = 1;
        if (is_address) {
            named = verify_ ? api.set1_ip_asc(api.get0_param(ssl.get()), host.c_str()) : 1;
        } else {
            // SAFETY: the call wants a mutable pointer and copies what it points to.
            void* name = const_cast<char*>(host.c_str());
            named = static_cast<int>(api.ssl_ctrl(
                ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name));
            named = named == 1 && verify_ ? api.set1_host(ssl.get(), host.c_str()) : named;
        }
        if (named != 1) {
            return invalid_argument("\"" + host + "\" is no name for TLS: " + last_error());
        }
        api.set_connect_state(ssl.get());
        return std::unique_ptr<TlsSession>(std::make_unique<LoadedSession>(std::move(ssl)));
    }

    std::string failure(const TlsSession& session) const override {
        // SAFETY: connect() makes no other sessions.
        return static_cast<const LoadedSession&>(session).failure();
    }

  private:
    LoadedContext context_;
    bool verify_;
};

Result<void> use_certificate(SSL_CTX* context, const TlsClientOptions& options) {
    const Openssl& api = *openssl();
    if (api.use_certificate_chain_file(context, options.certificate_file.c_str()) != 1) {
        return invalid_argument(
            "TLS certificate " + options.certificate_file + ": " + last_error());
    }
    if (api.use_private_key_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        api.check_private_key(context) != 1) {
        return invalid_argument("TLS key " + options.key_file + ": " + last_error());
    }
    return ok();
}

} // namespace

Result<std::shared_ptr<TlsClient>> TlsClient::create(const TlsClientOptions& options) {
    if (openssl() == nullptr) {
        return not_implemented("TLS needs OpenSSL's libssl.so.3, which is not installed");
    }
    const Openssl& api = *openssl();
    LoadedContext context(api.ctx_new(api.tls_client_method()));
    if (!context) {
        return internal_error("make a TLS context: " + last_error());
    }
    api.ctx_ctrl(context.get(), SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr);
    constexpr long mode = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
    api.ctx_ctrl(context.get(), SSL_CTRL_MODE, mode, nullptr);
    if (options.verify) {
        const bool systems = options.ca_file.empty() || options.system_authorities;
        if ((systems && api.default_verify_paths(context.get()) != 1) ||
            (!options.ca_file.empty() &&
             api.load_verify_locations(context.get(), options.ca_file.c_str(), nullptr) != 1)) {
            return invalid_argument("certificates " + options.ca_file + ": " + last_error());
        }
        api.set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    }
    if (!options.certificate_file.empty()) {
        TRY(use_certificate(context.get(), options));
    }
    return std::shared_ptr<TlsClient>(
        std::make_shared<LoadedClient>(std::move(context), options.verify));
}

} // namespace berth::http
