// SPDX-License-Identifier: Apache-2.0
// Sockets with patience.
#include "network/port_relay_test_support.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace berth::network {
namespace {

struct TestAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    TestAddress(const std::string& address, std::uint16_t port) {
        if (address.find(':') == std::string::npos) {
            auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
            v4->sin_family = AF_INET;
            v4->sin_port = htons(port);
            ::inet_pton(AF_INET, address.c_str(), &v4->sin_addr);
            size = sizeof *v4;
        } else {
            auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons(port);
            ::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr);
            size = sizeof *v6;
        }
    }

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

UniqueFd open_socket(Protocol protocol, const TestAddress& address) {
    const int type = protocol == Protocol::Udp ? SOCK_DGRAM : SOCK_STREAM;
    UniqueFd socket(::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return socket;
}

} // namespace

RelayedTestPort::RelayedTestPort(Protocol protocol, const RelayLimits& limits) {
    auto relay = PortRelay::start(limits);
    EXPECT_TRUE(relay.ok());
    relay_ = std::move(*relay);
    add(protocol, 8080);
}

void RelayedTestPort::add(Protocol protocol, std::uint16_t host_port) {
    const BoundPort port{
        .protocol = protocol,
        .container_port = 80,
        .host_ip = *kernel::IpAddress::parse("::"),
        .host_port = host_port};
    UniqueFd socket = bind_at(protocol, "::", host_port);
    if (protocol == Protocol::Tcp) {
        EXPECT_EQ(::listen(socket.get(), 0), 0);
    }
    relay_->add(port, std::move(socket), *kernel::IpAddress::parse("127.0.0.1"));
    ports_.push_back(port);
}

void RelayedTestPort::remove() {
    relay_->remove(std::exchange(ports_, {}));
}

UniqueFd bind_at(Protocol protocol, const std::string& address, std::uint16_t port) {
    const TestAddress own(address, port);
    UniqueFd socket = open_socket(protocol, own);
    const int on = 1;
    if (protocol == Protocol::Tcp) {
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (own.storage.ss_family == AF_INET6) {
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    EXPECT_EQ(::bind(socket.get(), own.get(), own.size), 0) << errno;
    return socket;
}

UniqueFd listen_at(const std::string& address, std::uint16_t port) {
    UniqueFd socket = bind_at(Protocol::Tcp, address, port);
    EXPECT_EQ(::listen(socket.get(), 100), 0);
    return socket;
}

UniqueFd accept_at(const UniqueFd& listener) {
    UniqueFd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(client) << "nobody came: " << errno;
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return client;
}

bool has_client(const UniqueFd& listener) {
    pollfd waiting{.fd = listener.get(), .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, 200) == 1;
}

UniqueFd
connect_to(Protocol protocol, const std::string& address, std::uint16_t port, int receive_buffer) {
    const TestAddress peer(address, port);
    UniqueFd socket = open_socket(protocol, peer);
    if (receive_buffer != 0) {
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    if (::connect(socket.get(), peer.get(), peer.size) != 0) {
        const int error_number = errno;
        socket.reset();
        errno = error_number;
    }
    return socket;
}

void send_all(const UniqueFd& socket, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
        ASSERT_GT(sent, 0) << errno;
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

std::string receive(const UniqueFd& socket, std::size_t size) {
    std::string text(size, '\0');
    const ssize_t received = ::recv(socket.get(), text.data(), size, MSG_WAITALL);
    text.resize(received > 0 ? static_cast<std::size_t>(received) : 0);
    while (received > 0 && text.size() < size) {
        const std::string more = receive(socket, size - text.size());
        if (more.empty()) {
            break;
        }
        text += more;
    }
    return text;
}

std::string receive_all(const UniqueFd& socket) {
    std::string text;
    std::array<char, 65536> part{};
    while (true) {
        const ssize_t received = ::recv(socket.get(), part.data(), part.size(), 0);
        if (received == 0) {
            return text;
        }
        if (received < 0) {
            return text + (errno == EAGAIN ? "timeout" : errno == ECONNRESET ? "reset" : "error");
        }
        text.append(part.data(), static_cast<std::size_t>(received));
    }
}

void reset(UniqueFd socket) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

} // namespace berth::network
