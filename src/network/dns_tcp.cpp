// SPDX-License-Identifier: Apache-2.0
// Messages with their length before them, within bounds: a client that does not read its answers is
// not read either.
#include "network/dns_tcp.h"

#include "network/dns_client.h"

#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

constexpr auto longest_idle = std::chrono::seconds(10);
constexpr std::size_t most_unsent = 256U << 10; // then we stop reading
constexpr std::size_t most_unread = 1U << 20;   // then we hang up
constexpr std::size_t read_size = 4096;

} // namespace

std::shared_ptr<DnsTcpConnection> DnsTcpConnection::create(Parts parts) {
    return std::shared_ptr<DnsTcpConnection>(new DnsTcpConnection(std::move(parts)));
}

Result<void> DnsTcpConnection::open() {
    TRY(parts_.loop.add(parts_.socket, EPOLLIN, shared_from_this()));
    await_more();
    return ok();
}

void DnsTcpConnection::await_more() {
    if (timer_) {
        parts_.loop.cancel(*timer_);
    }
    timer_ = parts_.loop.after(longest_idle, [this] {
        timer_.reset();
        close();
    });
}

void DnsTcpConnection::close() {
    const std::shared_ptr<DnsTcpConnection> self = shared_from_this();
    if (timer_) {
        parts_.loop.cancel(*timer_);
        timer_.reset();
    }
    if (parts_.socket) {
        parts_.loop.remove(parts_.socket);
        parts_.socket.reset();
    }
    if (const std::shared_ptr<DnsClient> client = parts_.client.lock()) {
        client->drop(*this);
    }
}

void DnsTcpConnection::on_ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) {
        flush();
    }
    if (parts_.socket && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        if (read()) {
            answer_queries();
        } else {
            close();
        }
    }
}

bool DnsTcpConnection::read() {
    std::array<std::uint8_t, read_size> buffer{};
    const ssize_t size = ::recv(parts_.socket.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    received_.insert(received_.end(), buffer.begin(), buffer.begin() + size);
    return size > 0;
}

void DnsTcpConnection::answer_queries() {
    const std::shared_ptr<DnsClient> client = parts_.client.lock();
    std::size_t start = 0;
    while (client && parts_.socket && received_.size() - start >= dns_length_bytes) {
        const std::size_t length = std::size_t{received_[start]} << 8 | received_[start + 1];
        if (received_.size() - start - dns_length_bytes < length) {
            break;
        }
        await_more();
        const DnsBytes answer = client->answer(
            std::span(received_).subspan(start + dns_length_bytes, length),
            shared_from_this(),
            {},
            false);
        if (!answer.empty()) {
            send({}, answer);
        }
        start += dns_length_bytes + length;
    }
    received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(start));
}

void DnsTcpConnection::send(const sockaddr_in& /*to*/, const DnsBytes& message) {
    if (!parts_.socket) {
        return;
    }
    if (unsent_.size() + message.size() > most_unread) {
        close();
        return;
    }
    unsent_.push_back(static_cast<std::uint8_t>(message.size() >> 8));
    unsent_.push_back(static_cast<std::uint8_t>(message.size() & 0xff));
    unsent_.insert(unsent_.end(), message.begin(), message.end());
    flush();
}

void DnsTcpConnection::flush() {
    const ssize_t sent =
        ::send(parts_.socket.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        close();
        return;
    }
    if (sent > 0) {
        unsent_.erase(unsent_.begin(), unsent_.begin() + sent);
    }
    const bool waits = !unsent_.empty();
    if (waits || waits_to_write_) {
        const bool may_read = unsent_.size() < most_unsent;
        parts_.loop.change(parts_.socket, (waits ? EPOLLOUT : 0U) | (may_read ? EPOLLIN : 0U));
    }
    waits_to_write_ = waits;
}

} // namespace berth::network
