// SPDX-License-Identifier: Apache-2.0
// A TCP connection between two network namespaces with both ends in the test's hands, which looks
// at each byte.
#pragma once

#include "base/unique_fd.h"
#include "kernel/netlink_namespace.h"
#include "network/socket_test_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace berth::network {

// After which nothing comes any more.
constexpr std::chrono::milliseconds silence{1500};

inline void within(const UniqueFd& netns, const std::function<void()>& body) {
    std::optional<kernel::NetworkNamespaceScope> scope;
    if (netns) {
        scope.emplace(kernel::NetworkNamespaceScope::enter(netns).value());
    }
    body();
}

class Listener {
  public:
    // `any`: the unspecified address of a version of IP.
    Listener(const UniqueFd& netns, const std::string& any, std::uint16_t port) {
        within(netns, [&] {
            SocketAddress own = socket_address(*kernel::IpAddress::parse(any), port);
            socket_ = UniqueFd(::socket(own.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
            const int on = 1;
            ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            EXPECT_EQ(::bind(socket_.get(), own.generic(), own.size), 0);
            EXPECT_EQ(::listen(socket_.get(), 8), 0);
        });
    }

    UniqueFd accept(std::string* peer = nullptr) const {
        SocketAddress from;
        UniqueFd accepted(::accept4(socket_.get(), from.generic(), &from.size, SOCK_CLOEXEC));
        if (peer != nullptr) {
            *peer = from.ip().to_string();
        }
        return accepted;
    }

  private:
    UniqueFd socket_;
};

// Both ends of one connection in the test's hands.
class Stream {
  public:
    // With an own port, so that a later one can be a successor.
    Stream(
        const UniqueFd& netns,
        const std::string& address,
        std::uint16_t port,
        const Listener& listener,
        std::uint16_t own_port = 0) {
        within(netns, [&] {
            SocketAddress there = socket_address(*kernel::IpAddress::parse(address), port);
            const int family = there.storage.ss_family;
            client_ = UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
            const int on = 1;
            ::setsockopt(client_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            const char* any = family == AF_INET ? "0.0.0.0" : "::";
            SocketAddress own = socket_address(*kernel::IpAddress::parse(any), own_port);
            EXPECT_EQ(::bind(client_.get(), own.generic(), own.size), 0);
            EXPECT_EQ(::connect(client_.get(), there.generic(), there.size), 0);
        });
        server_ = listener.accept(&peer);
        for (const UniqueFd* end : {&client_, &server_}) {
            ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
        }
    }

    // False when nothing comes any more, or other bytes.
    bool to_server(std::size_t bytes) { return carry(client_, server_, bytes, sent_, received_); }

    bool to_client(std::size_t bytes) {
        return carry(server_, client_, bytes, sent_back_, received_back_);
    }

    void close() {
        client_.reset();
        server_.reset();
    }

    void reset() {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(client_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        client_.reset();
        pollfd end{.fd = server_.get(), .events = POLLIN, .revents = 0};
        EXPECT_EQ(::poll(&end, 1, 5000), 1) << "the reset has not arrived";
        char byte = 0;
        EXPECT_EQ(::recv(server_.get(), &byte, 1, 0), -1);
        EXPECT_EQ(errno, ECONNRESET);
        server_.reset();
    }

    std::uint16_t client_port() const {
        SocketAddress own;
        EXPECT_EQ(::getsockname(client_.get(), own.generic(), &own.size), 0);
        return own.port();
    }

    // How large the segments are that the client sends.
    std::uint32_t segment_size() const {
        tcp_info info{};
        socklen_t size = sizeof info;
        EXPECT_EQ(::getsockopt(client_.get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
        return info.tcpi_snd_mss;
    }

    std::string peer; // as the server sees it

  private:
    static bool carry(
        const UniqueFd& from,
        const UniqueFd& to,
        std::size_t bytes,
        std::uint64_t& sent,
        std::uint64_t& received) {
        const std::uint64_t goal = received + bytes;
        std::vector<std::uint8_t> block(64U << 10);
        std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
        while (received < goal) {
            if (sent < goal) {
                const std::size_t size = std::min<std::uint64_t>(block.size(), goal - sent);
                for (std::size_t i = 0; i < size; ++i) {
                    block[i] = byte_at(sent + i);
                }
                const ssize_t written = ::send(from.get(), block.data(), size, MSG_NOSIGNAL);
                sent += written > 0 ? static_cast<std::uint64_t>(written) : 0;
            }
            const ssize_t got = ::recv(to.get(), block.data(), block.size(), 0);
            for (ssize_t i = 0; i < got; ++i) {
                if (block[static_cast<std::size_t>(i)] != byte_at(received++)) {
                    ADD_FAILURE() << "another byte at " << received - 1;
                    return false;
                }
            }
            if (got > 0) {
                last = std::chrono::steady_clock::now();
            } else if (std::chrono::steady_clock::now() - last > silence) {
                return false;
            } else {
                pollfd end{.fd = to.get(), .events = POLLIN, .revents = 0};
                ::poll(&end, 1, 10);
            }
        }
        return true;
    }

    static std::uint8_t byte_at(std::uint64_t place) {
        return static_cast<std::uint8_t>(place ^ (place >> 8U) * 31 ^ (place >> 16U) * 7);
    }

    UniqueFd client_;
    UniqueFd server_;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t sent_back_ = 0;
    std::uint64_t received_back_ = 0;
};

} // namespace berth::network
