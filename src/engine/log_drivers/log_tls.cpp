// SPDX-License-Identifier: Apache-2.0
// A session of TlsClient, waited for with a limit.
#include "engine/log_drivers/log_tls.h"

#include "http/tls_client.h"

#include <cerrno>

#include <poll.h>

namespace berth::engine {
namespace {

using http::TlsSession;
using std::chrono::milliseconds;

class TlsConnection final : public LogConnection {
  public:
    TlsConnection(
        UniqueFd fd, std::shared_ptr<http::TlsClient> client, std::unique_ptr<TlsSession> session)
        : fd_(std::move(fd))
        , client_(std::move(client))
        , session_(std::move(session)) {}

    ~TlsConnection() override { session_->finish(); }

    Result<void> shake_hands(const std::stop_token& stop) {
        while (true) {
            switch (session_->handshake()) {
            case TlsSession::Step::Done:
                return ok();
            case TlsSession::Step::WantsRead:
                TRY(wait_for_socket(fd_, POLLIN, log_connection_time, stop));
                break;
            case TlsSession::Step::WantsWrite:
                TRY(wait_for_socket(fd_, POLLOUT, log_connection_time, stop));
                break;
            case TlsSession::Step::Failed:
                return failure("handshake");
            }
        }
    }

    Result<void> send(std::string_view bytes, std::stop_token stop) override {
        while (!bytes.empty()) {
            const ssize_t count = session_->send(bytes);
            if (count >= 0) {
                bytes.remove_prefix(static_cast<std::size_t>(count));
            } else if (errno == EAGAIN) {
                TRY(wait_for_socket(fd_, POLLOUT, send_limit(), stop));
            } else {
                return failure("write");
            }
        }
        return ok();
    }

    Result<std::size_t>
    receive(std::span<char> buffer, milliseconds limit, std::stop_token stop) override {
        while (true) {
            const ssize_t count = session_->receive(buffer);
            if (count > 0) {
                return static_cast<std::size_t>(count);
            }
            if (count == 0) {
                return Error(ErrorKind::Cancelled, "the connection was closed");
            }
            if (errno != EAGAIN) {
                return failure("read");
            }
            TRY(wait_for_socket(fd_, POLLIN, limit, stop));
        }
    }

    // Looks for the peer's farewell; also takes in session tickets, which are no application data.
    // Nobody expects such data now: answers are received as soon as something was sent.
    bool is_closed() override {
        char byte = 0;
        const ssize_t count = session_->receive({&byte, 1});
        return count == 0 || (count < 0 && errno != EAGAIN);
    }

  private:
    Error failure(const std::string& what) const {
        const std::string why = client_->failure(*session_);
        return {ErrorKind::Unavailable, "tls: " + what + (why.empty() ? "" : ": " + why)};
    }

    UniqueFd fd_;
    std::shared_ptr<http::TlsClient> client_;
    std::unique_ptr<TlsSession> session_;
};

} // namespace

Result<std::unique_ptr<LogConnection>>
open_log_tls(UniqueFd fd, const std::string& host, const LogTls& tls, std::stop_token stop) {
    const std::shared_ptr<http::TlsClient> client = TRY_CONTEXT(
        http::TlsClient::create(
            {.verify = !tls.skip_verify,
             .ca_file = tls.ca_file,
             .system_authorities = true, // beside the given ones, as Docker does
             .certificate_file = tls.certificate_file,
             .key_file = tls.key_file}),
        "tls");
    std::unique_ptr<TlsSession> session =
        TRY_CONTEXT(client->connect(fd, host.empty() ? "localhost" : host), "tls");
    auto connection = std::make_unique<TlsConnection>(std::move(fd), client, std::move(session));
    TRY(connection->shake_hands(stop));
    return std::unique_ptr<LogConnection>(std::move(connection));
}

} // namespace berth::engine
