// SPDX-License-Identifier: Apache-2.0
// A relay moves what it can whenever one of its two descriptors is ready, and then watches for what
// it waits for. At most one piece is held for the far end and about 64 KiB for the connection.
#include "http/relay.h"

#include "http/socket_io.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::http {

namespace {

constexpr std::size_t piece_bytes = 16U << 10; // a record of TLS
constexpr std::size_t held_bytes = 64U << 10;
constexpr int pieces_a_turn = 32;
constexpr std::chrono::seconds relay_linger_time{2};
constexpr std::uint32_t broken_events = EPOLLHUP | EPOLLERR;

bool is_not_ready(ssize_t count) {
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

} // namespace

// Held by the callbacks that the loop has of it.
class Relays::Relay : public std::enable_shared_from_this<Relays::Relay> {
  public:
    Relay(
        io::EventLoop& loop,
        RelayedConnection connection,
        UniqueFd near_end,
        std::shared_ptr<Count> count)
        : loop_(loop)
        , outside_(std::move(connection))
        , near_(std::move(near_end))
        , count_(std::move(count))
        , to_outside_(std::move(outside_.to_send)) {
        const std::lock_guard lock(count_->mutex);
        ++count_->running;
    }

    ~Relay() {
        const std::lock_guard lock(count_->mutex);
        --count_->running;
        count_->changed.notify_all();
    }

    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    void begin() {
        auto self = shared_from_this();
        take_from_outside(std::exchange(outside_.received, {}));
        auto watched = loop_.add(
            outside_.fd, 0, [self](std::uint32_t events) { self->outside_event(events); });
        outside_watched_ = watched.ok();
        if (watched.ok()) {
            watched =
                loop_.add(near_, 0, [self](std::uint32_t events) { self->near_event(events); });
            near_watched_ = watched.ok();
        }
        if (watched.ok()) {
            step();
        } else {
            finish();
        }
    }

  private:
    Wire wire() const { return Wire(outside_.fd, outside_.tls.get()); }

    bool peer_closed() const { return outside_.websocket && outside_.websocket->closed(); }

    void outside_event(std::uint32_t events) {
        if ((events & broken_events) != 0 && outside_ended_ && !lingering_) {
            finish(); // it had ended one way, and now both
            return;
        }
        if (!step() && !finished_ && (events & broken_events) != 0) {
            // What is left of it cannot be read yet: epoll would not stop to say so.
            unwatch(outside_.fd, outside_watched_);
        }
    }

    void near_event(std::uint32_t events) {
        near_gone_ = near_gone_ || (events & broken_events) != 0;
        const bool moved = step();
        if (finished_) {
            return;
        }
        check_end();
        if (!moved && !finished_ && near_gone_) {
            unwatch(near_, near_watched_);
        }
    }

    void unwatch(const UniqueFd& fd, bool& watched) {
        if (std::exchange(watched, false)) {
            loop_.remove(fd);
        }
    }

    void take_from_outside(std::string_view bytes) {
        if (!outside_.websocket) {
            to_near_ += bytes;
            return;
        }
        Websocket::Input input = outside_.websocket->receive(bytes);
        to_near_ += input.data;
        to_outside_ += input.reply;
        outside_ended_ = outside_ended_ || peer_closed();
    }

    // These four say whether anything moved.

    bool receive() {
        if (outside_ended_ || !to_near_.empty() || to_outside_.size() - sent_ >= held_bytes) {
            return false;
        }
        std::array<char, piece_bytes> buffer;
        const ssize_t count = wire().receive(buffer);
        if (is_not_ready(count)) {
            return false;
        }
        if (count > 0) {
            take_from_outside({buffer.data(), static_cast<std::size_t>(count)});
        } else {
            outside_ended_ = true;
            outside_broken_ = count < 0;
        }
        return true;
    }

    bool write_near() {
        bool moved = false;
        if (!to_near_.empty()) {
            const ssize_t count =
                ::send(near_.get(), to_near_.data(), to_near_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (is_not_ready(count)) {
                return false;
            }
            // The far end may not want input and still have output.
            to_near_.erase(0, count < 0 ? to_near_.size() : static_cast<std::size_t>(count));
            moved = true;
        }
        if (to_near_.empty() && outside_ended_ && !near_shut_) {
            near_shut_ = true;
            ::shutdown(near_.get(), SHUT_WR);
        }
        return moved;
    }

    bool read_near() {
        if (near_ended_ || to_outside_.size() - sent_ >= held_bytes) {
            return false;
        }
        std::array<char, piece_bytes> buffer;
        const ssize_t count = ::recv(near_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (is_not_ready(count)) {
            return false;
        }
        if (count > 0 && !peer_closed()) {
            const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
            if (outside_.websocket) {
                to_outside_ += outside_.websocket->frame(bytes);
            } else {
                to_outside_ += bytes;
            }
        } else if (count <= 0) {
            near_ended_ = true;
            if (outside_.websocket && !peer_closed()) {
                to_outside_ += outside_.websocket->close_frame();
            }
        }
        return true;
    }

    bool send() {
        if (to_outside_.empty()) {
            return false;
        }
        const ssize_t count = wire().send(std::string_view(to_outside_).substr(sent_));
        if (is_not_ready(count)) {
            return false;
        }
        sent_ += count > 0 ? static_cast<std::size_t>(count) : 0;
        outside_broken_ = outside_broken_ || count < 0;
        if (sent_ == to_outside_.size() || outside_broken_) {
            to_outside_ = std::string(); // an idle relay holds nothing
            sent_ = 0;
        }
        return true;
    }

    // Whether anything moved.
    bool step() {
        bool moved = false;
        for (int turn = 0; turn < pieces_a_turn && !finished_; ++turn) {
            const bool received = lingering_ ? drop_input() : receive();
            const bool written = write_near();
            const bool read = read_near();
            const bool sent = send();
            if (!received && !written && !read && !sent) {
                settle();
                return moved;
            }
            moved = true;
            check_end();
        }
        if (!finished_) {
            // Others get their turn. Not left to epoll: a session may hold decrypted bytes.
            loop_.post([self = shared_from_this()] { self->step(); });
        }
        return true;
    }

    bool drop_input() {
        std::array<char, piece_bytes> buffer;
        const ssize_t count = wire().receive(buffer);
        if (!is_not_ready(count) && count <= 0) {
            finish();
        }
        return count > 0;
    }

    void check_end() {
        const bool all_sent = to_outside_.empty();
        if (outside_broken_) {
            finish();
        } else if (peer_closed() && all_sent) {
            shut_outside();
            lingering_ = to_near_.empty(); // else what was typed before may be taken yet
            finish_later();
        } else if (near_ended_ && all_sent) {
            shut_outside();
            if (outside_ended_) {
                finish();
            } else if ((near_gone_ || outside_.websocket) && !lingering_) {
                unwatch(near_, near_watched_);
                lingering_ = true;
                finish_later();
            }
        }
    }

    // Closed at once instead, what the other still sends would take from it what it has not read.
    void shut_outside() {
        if (std::exchange(outside_shut_, true)) {
            return;
        }
        if (outside_.tls) {
            outside_.tls->finish();
        }
        ::shutdown(outside_.fd.get(), SHUT_WR);
    }

    void finish_later() {
        if (!timer_) {
            timer_ = loop_.add_timer(relay_linger_time, [self = shared_from_this()] {
                self->timer_.reset();
                self->finish();
            });
        }
    }

    // Watches for what can make a step possible.
    void settle() {
        if (finished_) {
            return;
        }
        const bool has_room = to_outside_.size() - sent_ < held_bytes;
        std::uint32_t outside = to_outside_.empty() ? 0U : EPOLLOUT;
        if (lingering_ || (!outside_ended_ && to_near_.empty() && has_room)) {
            outside |= EPOLLIN;
        }
        std::uint32_t near = to_near_.empty() ? 0U : EPOLLOUT;
        if (!near_ended_ && has_room) {
            near |= EPOLLIN;
        }
        if ((outside_watched_ && !loop_.modify(outside_.fd, outside).ok()) ||
            (near_watched_ && !loop_.modify(near_, near).ok())) {
            finish();
        }
    }

    void finish() {
        if (std::exchange(finished_, true)) {
            return;
        }
        if (timer_) {
            loop_.cancel_timer(*timer_);
        }
        unwatch(outside_.fd, outside_watched_);
        unwatch(near_, near_watched_);
        outside_.tls.reset();
        outside_.fd.reset();
        near_.reset();
    }

    io::EventLoop& loop_;
    RelayedConnection outside_;
    UniqueFd near_; // the far end's peer
    std::shared_ptr<Count> count_;
    std::string to_near_;
    std::string to_outside_;
    std::size_t sent_ = 0; // of to_outside_
    std::optional<io::EventLoop::TimerId> timer_;
    bool outside_watched_ = false;
    bool near_watched_ = false;
    bool outside_ended_ = false;
    bool outside_broken_ = false;
    bool outside_shut_ = false;
    bool near_ended_ = false;
    bool near_gone_ = false; // both ways
    bool near_shut_ = false;
    bool lingering_ = false; // all is sent; the other is to close
    bool finished_ = false;
};

Relays::~Relays() = default;

Result<UniqueFd> Relays::start(RelayedConnection connection) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return errno_error("socketpair");
    }
    UniqueFd near_end(pair[0]);
    UniqueFd far_end(pair[1]);
    TRY(start(std::move(connection), std::move(near_end)));
    return far_end;
}

Result<void> Relays::start(RelayedConnection connection, UniqueFd near_end) {
    TRY(io::set_nonblocking(near_end));
    TRY(io::set_nonblocking(connection.fd));
    auto thread = thread_.lock();
    if (*thread == nullptr) {
        // Signals are for threads that wait for them.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        auto started = io::EventLoopThread::start();
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        *thread = TRY(std::move(started));
    }
    io::EventLoop& loop = (*thread)->loop();
    auto relay = std::make_shared<Relay>(loop, std::move(connection), std::move(near_end), count_);
    loop.post([relay = std::move(relay)] { relay->begin(); });
    return ok();
}

void Relays::wait_for_end(std::chrono::milliseconds limit) {
    std::unique_lock lock(count_->mutex);
    count_->changed.wait_for(lock, limit, [this] { return count_->running == 0; });
}

void Relays::wait_for_end() {
    std::unique_lock lock(count_->mutex);
    count_->changed.wait(lock, [this] { return count_->running == 0; });
}

} // namespace berth::http
