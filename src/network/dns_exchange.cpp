// SPDX-License-Identifier: Apache-2.0
// A small state machine: one socket at a time, one timer.
#include "network/dns_exchange.h"

#include "base/random.h"
#include "kernel/netlink_namespace.h"

#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

constexpr std::size_t rounds = 2;
// Datagrams that answer something else: from a server that is slow, or from one who guesses.
constexpr int most_strays = 16;

} // namespace

std::shared_ptr<DnsExchange> DnsExchange::create(Parts parts) {
    return std::shared_ptr<DnsExchange>(new DnsExchange(std::move(parts)));
}

DnsExchange::~DnsExchange() {
    close();
}

void DnsExchange::abandon() {
    ended_ = true;
    close();
}

void DnsExchange::close() {
    if (timer_) {
        parts_.loop.cancel(*timer_);
        timer_.reset();
    }
    if (socket_) {
        parts_.loop.remove(socket_);
        socket_.reset();
    }
}

void DnsExchange::end(std::optional<DnsAnswer> answer) {
    const std::shared_ptr<DnsExchange> self = shared_from_this(); // on_end may let go of it
    ended_ = true;
    close();
    parts_.on_end(std::move(answer));
}

bool DnsExchange::open(int type) {
    close();
    is_stream_ = type == SOCK_STREAM;
    is_sent_ = false;
    received_.clear();
    const auto connect = [&]() -> Result<UniqueFd> {
        // An interface may come and go, and have another number each time.
        return connect_to_dns_server(type, TRY(SocketAddress::of(server(), parts_.options.port)));
    };
    Result<UniqueFd> opened = [&]() -> Result<UniqueFd> {
        if (parts_.netns < 0) {
            return connect();
        }
        const kernel::NetworkNamespaceScope scope =
            TRY(kernel::NetworkNamespaceScope::enter(FdRef::unowned(parts_.netns)));
        return connect();
    }();
    if (!opened.ok()) {
        return false;
    }
    socket_ = std::move(opened).value();
    id_ = static_cast<std::uint16_t>(random_u64());
    if (!is_stream_) {
        const DnsBytes query = format_dns_query(parts_.query, id_);
        if (::send(socket_.get(), query.data(), query.size(), MSG_NOSIGNAL) < 0) {
            return false;
        }
    }
    const std::uint32_t events = is_stream_ ? EPOLLOUT : EPOLLIN;
    if (!parts_.loop.add(socket_, events, shared_from_this()).ok()) {
        socket_.reset(); // nothing to remove from the loop
        return false;
    }
    const bool is_first_round = attempts_ < parts_.servers.size();
    timer_ = parts_.loop.after(
        is_first_round ? parts_.options.first_patience : parts_.options.second_patience,
        [this] { on_timeout(); });
    return true;
}

void DnsExchange::attempt() {
    for (; attempts_ < parts_.servers.size() * rounds; ++attempts_) {
        if (open(SOCK_DGRAM)) {
            return;
        }
    }
    end(std::nullopt);
}

void DnsExchange::next() {
    if (truncated_) {
        end(std::move(truncated_)); // better than nothing: the client may have luck itself
        return;
    }
    ++attempts_;
    attempt();
}

void DnsExchange::on_timeout() {
    timer_.reset();
    parts_.on_silence(server());
    next();
}

void DnsExchange::on_ready(std::uint32_t events) {
    if (ended_) {
        return;
    }
    if (is_stream_) {
        on_stream(events);
    } else {
        on_datagram();
    }
}

void DnsExchange::on_datagram() {
    // Asks for the size alone; an error that waits (refused, unreachable) is told only once.
    const ssize_t size = ::recv(socket_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            next();
        }
        return;
    }
    DnsBytes buffer(static_cast<std::size_t>(size));
    static_cast<void>(::recv(socket_.get(), buffer.data(), buffer.size(), 0));
    std::optional<DnsAnswer> answer = parse_dns_answer(buffer, parts_.query, id_);
    if (answer) {
        take(*std::move(answer));
    } else if (++strays_ >= most_strays) {
        next();
    }
}

void DnsExchange::take(DnsAnswer answer) {
    if (answer.code == DnsCode::ServerFailure || answer.code == DnsCode::Refused) {
        next();
        return;
    }
    if (!answer.truncated) {
        end(std::move(answer));
        return;
    }
    truncated_ = std::move(answer);
    if (is_stream_ || !open(SOCK_STREAM)) {
        next();
    }
}

void DnsExchange::on_stream(std::uint32_t events) {
    if (is_sent_) {
        read_stream();
        return;
    }
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0 || (events & EPOLLOUT) == 0) {
        next();
        return;
    }
    const DnsBytes query = format_dns_query(parts_.query, id_);
    DnsBytes message{
        static_cast<std::uint8_t>(query.size() >> 8),
        static_cast<std::uint8_t>(query.size() & 0xff)};
    message.insert(message.end(), query.begin(), query.end());
    // A few hundred bytes at most always fit into a new connection's buffer.
    const ssize_t sent = ::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(message.size())) {
        next();
        return;
    }
    is_sent_ = true;
    parts_.loop.change(socket_, EPOLLIN);
}

void DnsExchange::read_stream() {
    std::array<std::uint8_t, 16384> buffer{};
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        next();
        return;
    }
    received_.insert(received_.end(), buffer.begin(), buffer.begin() + size);
    if (received_.size() < dns_length_bytes) {
        return;
    }
    const std::size_t length = std::size_t{received_[0]} << 8 | received_[1];
    if (received_.size() < dns_length_bytes + length) {
        return;
    }
    std::optional<DnsAnswer> answer =
        parse_dns_answer(std::span(received_).subspan(dns_length_bytes, length), parts_.query, id_);
    if (answer) {
        take(*std::move(answer));
    } else {
        next();
    }
}

} // namespace berth::network
