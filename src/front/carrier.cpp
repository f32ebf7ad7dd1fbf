// SPDX-License-Identifier: Apache-2.0
// The engine bounds what is here: it has an end of each connection that is not yet taken, counts
// those, and closes what is too much, too slow or too long idle. An end that is closed, by whom and
// for what reason ever, ends the connection.
#include "front/carrier.h"

#include "base/log.h"
#include "front/confinement.h"
#include "kernel/socket.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::front {

namespace {

constexpr int messages_a_round = 16;
constexpr std::size_t many_handshakes = 1'000;
// A peer that was refused gets that long to read why.
constexpr std::chrono::seconds linger_time{1};
constexpr std::size_t descriptors_of_a_connection = 2;
// For the server's 8,192 connections, and as many that were taken.
constexpr rlim_t least_descriptors = 40'000;

// What OpenSSL opens and looks up once.
void load_tls() {
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, nullptr);
    SSL_CTX_free(SSL_CTX_new(TLS_server_method()));
}

// The engine needs one for a connection, and this process two.
void allow_descriptors() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_max = std::max(files.rlim_max, least_descriptors);
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) { // more is not allowed
            getrlimit(RLIMIT_NOFILE, &files);
            files.rlim_cur = files.rlim_max;
            setrlimit(RLIMIT_NOFILE, &files);
        }
    }
}

} // namespace

Result<void> become_front() {
    // One arena: two threads that mostly wait.
    mallopt(M_ARENA_MAX, 1);
    (void)setsid(); // fails when it leads a session already
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2}) {
        std::signal(number, SIG_IGN);
    }
    allow_descriptors();
    load_tls();
    return confine();
}

// From the first byte of TLS until it is a relay, or refused.
class Carrier::Handshake {
  public:
    Handshake(Carrier& carrier, std::uint64_t id, UniqueFd outside, UniqueFd end)
        : carrier_(carrier)
        , id_(id)
        , outside_(std::move(outside))
        , end_(std::move(end)) {}

    Handshake(const Handshake&) = delete;
    Handshake& operator=(const Handshake&) = delete;

    ~Handshake() {
        unwatch();
        if (linger_timer_) {
            carrier_.loop_->cancel_timer(*linger_timer_);
        }
    }

    Result<void> begin() {
        TRY(io::set_nonblocking(outside_));
        TRY(carrier_.loop_->add(end_, EPOLLRDHUP, [this](std::uint32_t) { finish(); }));
        end_watched_ = true;
        TRY(carrier_.loop_->add(outside_, EPOLLIN, [this](std::uint32_t) { step(); }));
        outside_watched_ = true;
        return ok();
    }

  private:
    using Step = http::TlsSession::Step;

    void step() {
        if (linger_timer_) {
            drop_input();
            return;
        }
        if (session_ == nullptr) { // who says nothing costs next to nothing
            auto session = carrier_.tls_->accept(outside_);
            if (!session.ok()) {
                log::warn("cannot accept", {{"error", session.error().message()}});
                finish();
                return;
            }
            session_ = std::move(*session);
        }
        switch (session_->handshake()) {
        case Step::WantsRead:
            watch_for(EPOLLIN);
            break;
        case Step::WantsWrite:
            watch_for(EPOLLOUT);
            break;
        case Step::Done:
            relay();
            break;
        case Step::Failed:
            linger();
            break;
        }
    }

    void watch_for(std::uint32_t events) {
        if (!carrier_.loop_->modify(outside_, events).ok()) {
            finish();
        }
    }

    void relay() {
        unwatch();
        http::RelayedConnection connection;
        connection.received = encode_identity(session_->peer());
        connection.fd = std::move(outside_);
        connection.tls = std::move(session_);
        auto started = carrier_.relays_.start(std::move(connection), std::move(end_));
        if (!started.ok()) {
            log::warn("cannot carry a connection", {{"error", started.error().message()}});
        }
        finish();
    }

    // Closed at once, what the peer still sends would take from it what it has not read.
    void linger() {
        ::shutdown(outside_.get(), SHUT_WR);
        linger_timer_ = carrier_.loop_->add_timer(linger_time, [this] {
            linger_timer_.reset();
            finish();
        });
        watch_for(EPOLLIN);
    }

    void drop_input() {
        std::array<char, 4096> buffer;
        const ssize_t count = ::recv(outside_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
            finish();
        }
    }

    void unwatch() {
        if (std::exchange(outside_watched_, false)) {
            carrier_.loop_->remove(outside_);
        }
        if (std::exchange(end_watched_, false)) {
            carrier_.loop_->remove(end_);
        }
    }

    // Destroys it, once the loop is done with its callbacks.
    void finish() {
        unwatch();
        carrier_.loop_->post([&carrier = carrier_, id = id_] { carrier.forget(id); });
    }

    Carrier& carrier_;
    const std::uint64_t id_;
    UniqueFd outside_;
    UniqueFd end_; // the engine has the other one
    std::unique_ptr<http::TlsSession> session_;
    std::optional<io::EventLoop::TimerId> linger_timer_;
    bool outside_watched_ = false;
    bool end_watched_ = false;
};

Carrier::Carrier(std::unique_ptr<io::EventLoop> loop, UniqueFd control)
    : loop_(std::move(loop))
    , control_(std::move(control)) {}

Carrier::~Carrier() = default;

Result<std::unique_ptr<Carrier>> Carrier::create(UniqueFd control) {
    TRY(io::set_nonblocking(control));
    auto loop = TRY(io::EventLoop::create());
    std::unique_ptr<Carrier> carrier(new Carrier(std::move(loop), std::move(control)));
    Carrier* self = carrier.get();
    TRY(carrier->loop_->add(self->control_, EPOLLIN, [self](std::uint32_t) { self->receive(); }));
    return carrier;
}

void Carrier::run() {
    loop_->run();
    relays_.wait_for_end();
}

void Carrier::receive() {
    for (int i = 0; i < messages_a_round && control_ && receive_one(); ++i) {
    }
}

bool Carrier::receive_one() {
    const ssize_t size = ::recv(control_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (size <= 0 || static_cast<std::size_t>(size) > message_limit) {
        loop_->remove(control_);
        control_.reset();
        stop_if_idle();
        return false;
    }
    std::string bytes(static_cast<std::size_t>(size), '\0');
    auto received = kernel::receive_with_descriptors(control_, bytes);
    if (!received.ok()) { // no room for its descriptors: they are closed, which the engine sees
        log::warn("cannot take a connection", {{"error", received.error().message()}});
        return true;
    }
    auto message = decode(bytes);
    auto done = message.ok() ? obey(std::move(*message), std::move(received->descriptors))
                             : Result<void>(message.error());
    if (!done.ok()) {
        log::warn("cannot carry a connection", {{"error", done.error().message()}});
    }
    return true;
}

Result<void> Carrier::obey(Message message, std::vector<UniqueFd> descriptors) {
    if (auto* use = std::get_if<UseTls>(&message)) {
        tls_ = TRY(http::TlsContext::create(use->material));
        return ok();
    }
    if (descriptors.size() != descriptors_of_a_connection) {
        return invalid_argument("a connection came without its descriptors");
    }
    if (auto* framed = std::get_if<CarryWebsocket>(&message)) {
        http::RelayedConnection connection;
        connection.fd = std::move(descriptors[0]);
        connection.websocket.emplace(framed->kind);
        connection.received = std::move(framed->received);
        connection.to_send = std::move(framed->to_send);
        return relays_.start(std::move(connection), std::move(descriptors[1]));
    }
    if (tls_ == nullptr) {
        return invalid_argument("a connection came before the certificates");
    }
    const std::uint64_t id = next_handshake_++;
    auto handshake = std::make_unique<Handshake>(
        *this, id, std::move(descriptors[0]), std::move(descriptors[1]));
    TRY(handshake->begin());
    handshakes_.emplace(id, std::move(handshake));
    return ok();
}

void Carrier::forget(std::uint64_t handshake) {
    forgotten_ += handshakes_.erase(handshake);
    if (handshakes_.empty() && forgotten_ >= many_handshakes) {
        forgotten_ = 0;
        malloc_trim(0); // a flood is over
    }
    stop_if_idle();
}

// What is left then are relays, which have a thread of their own.
void Carrier::stop_if_idle() {
    if (!control_ && handshakes_.empty()) {
        loop_->stop();
    }
}

} // namespace berth::front
