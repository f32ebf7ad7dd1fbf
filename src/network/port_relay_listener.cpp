// SPDX-License-Identifier: Apache-2.0
// Accepting, and the limits.
#include "network/port_relay_listener.h"

#include "base/log.h"
#include "kernel/process.h"

#include <cerrno>
#include <chrono>

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

constexpr int accepts_at_once = 16;
constexpr int most_waiting = 4096; // the kernel takes net.core.somaxconn where that is less
constexpr auto until_descriptors_are_free = std::chrono::milliseconds(100);

// Clients that vanished without a word do not hold a connection for ever. Go's, and so
// docker-proxy's, 15 seconds.
constexpr int keep_alive_seconds = 15;

// The socket is what is wrong, rather than one client.
bool is_shortage(int error_number) {
    return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
           error_number == ENOMEM;
}

} // namespace

void set_relay_options(FdRef socket) {
    const int on = 1;
    const int idle = keep_alive_seconds;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
}

std::shared_ptr<RelayListener>
RelayListener::create(RelayParts& parts, UniqueFd socket, const RelayTarget& target) {
    return std::shared_ptr<RelayListener>(new RelayListener(parts, std::move(socket), target));
}

Result<void> RelayListener::listen() {
    TRY(let_clients_in(socket_));
    set_relay_options(socket_); // what is accepted has them from it
    if (::listen(socket_.get(), most_waiting) != 0) {
        return errno_error("listen");
    }
    return ok();
}

Result<void> RelayListener::open() {
    TRY(listen());
    TRY(parts_.loop.add(socket_, EPOLLIN, shared_from_this()));
    is_open_ = true;
    return ok();
}

void RelayListener::close() {
    if (is_open_ && !is_paused_) {
        parts_.loop.remove(socket_);
    }
    is_open_ = false;
    socket_.reset();
    while (!connections_.empty()) {
        (*connections_.begin())->finish();
    }
}

void RelayListener::pause() {
    is_paused_ = true;
    parts_.loop.remove(socket_);
}

void RelayListener::resume() {
    if (!is_open_ || !is_paused_) {
        return;
    }
    is_paused_ = false;
    const Result<void> added = parts_.loop.add(socket_, EPOLLIN, shared_from_this());
    if (!added.ok()) {
        is_open_ = false;
        log::warn(
            "a published port is not served any more, ignoring",
            {{"error", added.error().message()}});
    }
}

void RelayListener::on_ready(std::uint32_t /*events*/) {
    const auto wake = [weak = weak_from_this()] {
        if (const auto self = weak.lock()) {
            self->resume();
        }
    };
    for (int i = 0; i < accepts_at_once; ++i) {
        if (!parts_.connections.take(connections_.size())) {
            parts_.connections.wait(wake);
            pause();
            return;
        }
        UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (client) {
            carry(kernel::keep_apart(std::move(client)));
            continue;
        }
        const int error_number = errno;
        parts_.connections.give_back();
        if (is_shortage(error_number)) {
            pause();
            parts_.loop.after(until_descriptors_are_free, wake);
            return;
        }
        if (error_number == EAGAIN) {
            return;
        }
        // Others are of a client that has gone meanwhile.
    }
}

void RelayListener::carry(UniqueFd client) {
    const auto connection = RelayConnection::create(
        parts_,
        std::move(client),
        [weak = weak_from_this()](const std::shared_ptr<RelayConnection>& ended) {
            if (const auto self = weak.lock()) {
                self->forget(ended);
            }
        });
    connections_.insert(connection);
    connection->open(target_);
}

void RelayListener::forget(const std::shared_ptr<RelayConnection>& connection) {
    if (connections_.erase(connection) != 0) {
        parts_.connections.give_back();
    }
}

} // namespace berth::network
