// SPDX-License-Identifier: Apache-2.0
// splice(2) from one socket into a pipe and out of it into the other. A pipe is filled only when it
// is empty, so that EAGAIN of a socket has one meaning.
#include "network/port_relay_connection.h"

#include <cerrno>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

constexpr std::size_t bytes_at_once = 1U << 20; // as many as the pipe holds, that is
constexpr int rounds_at_once = 8;               // then others have their turn
constexpr int syn_retries = 4;                  // half a minute

ssize_t splice_on(FdRef from, FdRef to, std::size_t size) {
    while (true) {
        const ssize_t moved = ::splice(
            from.get(), nullptr, to.get(), nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (moved >= 0 || errno != EINTR) {
            return moved;
        }
    }
}

int error_of(FdRef socket) {
    int error_number = 0;
    socklen_t size = sizeof error_number;
    return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error_number, &size) == 0
               ? error_number
               : errno;
}

void reset_on_close(FdRef socket) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

} // namespace

std::shared_ptr<RelayConnection>
RelayConnection::create(RelayParts& parts, UniqueFd client, Ended ended) {
    return std::shared_ptr<RelayConnection>(
        new RelayConnection(parts, std::move(client), std::move(ended)));
}

Result<void> RelayConnection::connect(const RelayTarget& container) {
    container_.socket = TRY(open_relay_socket(container.family(), SOCK_STREAM));
    set_relay_options(container_.socket);
    ::setsockopt(
        container_.socket.get(), IPPROTO_TCP, TCP_SYNCNT, &syn_retries, sizeof syn_retries);
    if (::connect(container_.socket.get(), container.address(), container.size()) != 0 &&
        errno != EINPROGRESS) {
        return errno_error("connect");
    }
    TRY(await(container_, EPOLLOUT));
    // Of the client it is only heard that it has gone.
    return parts_.loop.add(
        client_.socket, 0, std::shared_ptr<SocketHandler>(shared_from_this(), &client_));
}

void RelayConnection::open(const RelayTarget& container) {
    const Result<void> connecting = connect(container);
    client_.is_watched = connecting.ok();
    if (!connecting.ok()) {
        break_off();
    }
}

Result<void> RelayConnection::await(Side& side, std::uint32_t events) {
    if (!side.is_watched) {
        if (events == 0) {
            return ok();
        }
        TRY(parts_.loop.add(
            side.socket, events, std::shared_ptr<SocketHandler>(shared_from_this(), &side)));
        side.is_watched = true;
    } else if (side.awaited != events) {
        parts_.loop.change(side.socket, events);
    }
    side.awaited = events;
    return ok();
}

Result<void> RelayConnection::await_more() {
    for (Side* side : {&client_, &container_}) {
        const Flow& from_it = side == &client_ ? inward_ : outward_;
        const Flow& to_it = side == &client_ ? outward_ : inward_;
        std::uint32_t events = 0;
        if (!from_it.is_done && from_it.pending == 0) {
            events |= EPOLLIN;
        }
        if (to_it.pending != 0) {
            events |= EPOLLOUT;
        }
        TRY(await(*side, events));
    }
    return ok();
}

void RelayConnection::on_ready(Side& side, std::uint32_t events) {
    const auto self = shared_from_this();
    Flow& from_it = &side == &client_ ? inward_ : outward_;
    Flow& to_it = &side == &client_ ? outward_ : inward_;
    if (is_connecting_ && (events & (EPOLLERR | EPOLLHUP)) != 0) {
        break_off();
        return;
    }
    if ((events & EPOLLERR) != 0) {
        // A server that closes without having read all, after its answer, resets: the answer is
        // received natively too.
        move(from_it);
        break_off();
        return;
    }
    if (is_connecting_) {
        if (&side != &container_) {
            return;
        }
        if (error_of(container_.socket) != 0) {
            break_off();
            return;
        }
        is_connecting_ = false;
    }
    const bool has_more = (events & (EPOLLIN | EPOLLHUP)) != 0;
    const bool has_room = (events & EPOLLOUT) != 0;
    if ((has_more && !move(from_it)) || (has_room && !move(to_it))) {
        break_off();
        return;
    }
    if (inward_.is_done && outward_.is_done) {
        end();
        return;
    }
    if (!await_more().ok()) {
        break_off();
        return;
    }
    // Both directions of this side have ended, and it waits for the other one: the kernel would
    // tell of it without end.
    if ((events & EPOLLHUP) != 0 && side.awaited == 0 && side.is_watched) {
        parts_.loop.remove(side.socket);
        side.is_watched = false;
    }
}

bool RelayConnection::fill(Flow& flow) {
    if (!flow.pipe) {
        Result<Pipe> pipe = parts_.pipes.take();
        if (!pipe.ok()) {
            return false;
        }
        flow.pipe = std::move(pipe).value();
    }
    const ssize_t size = splice_on(flow.from.socket, flow.pipe->write_end, bytes_at_once);
    if (size < 0 && errno != EAGAIN) {
        return false;
    }
    flow.pending = size > 0 ? static_cast<std::size_t>(size) : 0;
    flow.is_done = size == 0;
    return true;
}

bool RelayConnection::drain(Flow& flow) {
    const ssize_t size = splice_on(flow.pipe->read_end, flow.to.socket, flow.pending);
    if (size < 0) {
        return errno == EAGAIN;
    }
    flow.pending -= static_cast<std::size_t>(size);
    return true;
}

bool RelayConnection::move(Flow& flow) {
    for (int round = 0; round < rounds_at_once && !flow.is_done; ++round) {
        if (flow.pending == 0 && !fill(flow)) {
            return false;
        }
        if (flow.is_done) {
            ::shutdown(flow.to.socket.get(), SHUT_WR);
        }
        if (flow.pending == 0) {
            break; // nothing there
        }
        const std::size_t before = flow.pending;
        if (!drain(flow)) {
            return false;
        }
        if (flow.pending == before) {
            break; // no room there
        }
    }
    if (flow.pending == 0 && flow.pipe) {
        parts_.pipes.give_back(*std::exchange(flow.pipe, std::nullopt));
    }
    return true;
}

void RelayConnection::finish() {
    const auto self = shared_from_this();
    // A container that has ended has said its last words a moment ago.
    const bool is_whole = !is_connecting_ && move(inward_) && move(outward_);
    if (is_whole && outward_.is_done) {
        end();
    } else {
        break_off();
    }
}

void RelayConnection::break_off() {
    for (const Side* side : {&client_, &container_}) {
        if (side->socket) {
            reset_on_close(side->socket);
        }
    }
    end();
}

void RelayConnection::end() {
    const auto self = shared_from_this();
    for (Side* side : {&client_, &container_}) {
        if (std::exchange(side->is_watched, false)) {
            parts_.loop.remove(side->socket);
        }
        side->socket.reset();
    }
    inward_.pipe.reset();
    outward_.pipe.reset();
    if (const Ended ended = std::exchange(ended_, nullptr)) {
        ended(self);
    }
}

} // namespace berth::network
