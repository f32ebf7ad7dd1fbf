// SPDX-License-Identifier: Apache-2.0
// Traffic for bench/network: one thread each side, TCP.
//   network_load serve PORT                       answers each connection's first byte with one
//   byte
//                                                 ('c') or reads all there is ('b')
//   network_load connections ADDRESS PORT SECONDS connections a second: connect, one byte there and
//                                                 back, close with a reset (no TIME_WAIT left)
//   network_load bulk ADDRESS PORT SECONDS        Gbit/s of one stream
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t block_size = 256 * 1024;

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Of either version of IP.
Address address_of(const char* text, const char* port) {
    addrinfo wanted{};
    wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(text, port, &wanted, &found) != 0) {
        std::fprintf(stderr, "no address: %s\n", text);
        std::exit(2);
    }
    Address address;
    address.size = found->ai_addrlen;
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    ::freeaddrinfo(found);
    return address;
}

int connect_to(const Address& address) {
    const int connection = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // The way is to be measured, not the pacing of BBR, which some machines have as their default.
    constexpr std::string_view control = "cubic";
    ::setsockopt(connection, IPPROTO_TCP, TCP_CONGESTION, control.data(), control.size());
    if (connection < 0 || ::connect(connection, address.generic(), address.size) != 0) {
        fail("connect");
    }
    return connection;
}

void swallow(int connection) {
    std::vector<char> block(block_size);
    while (::recv(connection, block.data(), block.size(), 0) > 0) {
    }
    ::close(connection);
}

int serve(const char* port) {
    const int listener = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0); // of both versions
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const Address address = address_of("::", port);
    if (::bind(listener, address.generic(), address.size) != 0 || ::listen(listener, 4096) != 0) {
        fail("listen");
    }
    while (true) {
        const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        char kind = 0;
        if (connection < 0 || ::recv(connection, &kind, 1, 0) != 1) {
            ::close(connection);
            continue;
        }
        if (kind == 'c') {
            ::send(connection, &kind, 1, MSG_NOSIGNAL);
            ::close(connection);
            continue;
        }
        // Bulk streams must not keep connections waiting.
        if (::fork() == 0) {
            swallow(connection);
            ::_exit(0);
        }
        ::close(connection);
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
    }
}

int measure_connections(const Address& address, double seconds) {
    const Clock::time_point start = Clock::now();
    std::uint64_t count = 0;
    while (seconds_since(start) < seconds) {
        const int connection = connect_to(address);
        char byte = 'c';
        if (::send(connection, &byte, 1, MSG_NOSIGNAL) != 1 ||
            ::recv(connection, &byte, 1, 0) != 1) {
            fail("ask");
        }
        const linger reset{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        ::close(connection);
        ++count;
    }
    std::printf("%.0f\n", static_cast<double>(count) / seconds_since(start));
    return 0;
}

int measure_bulk(const Address& address, double seconds) {
    const int connection = connect_to(address);
    std::vector<char> block(block_size, 'b');
    const Clock::time_point start = Clock::now();
    double bytes = 0;
    while (seconds_since(start) < seconds) {
        const ssize_t sent = ::send(connection, block.data(), block.size(), MSG_NOSIGNAL);
        if (sent <= 0) {
            fail("send");
        }
        bytes += static_cast<double>(sent);
    }
    std::printf("%.3f\n", bytes * 8 / seconds_since(start) / 1e9);
    return 0;
}

} // namespace

int main(int count, char** words) {
    const std::string mode = count > 1 ? words[1] : "";
    if (mode == "serve" && count == 3) {
        return serve(words[2]);
    }
    if (mode == "connections" && count == 5) {
        return measure_connections(address_of(words[2], words[3]), std::atof(words[4]));
    }
    if (mode == "bulk" && count == 5) {
        return measure_bulk(address_of(words[2], words[3]), std::atof(words[4]));
    }
    std::fprintf(
        stderr, "usage: network_load serve PORT | connections|bulk ADDRESS PORT SECONDS\n");
    return 2;
}
