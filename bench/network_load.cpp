// SPDX-License-Identifier: Apache-2.0
// Traffic for bench/network: one thread each side, TCP.
//   network_load serve PORT                       answers each connection's first byte with one
//   byte
//                                                 ('c') or reads all there is ('b')
//   network_load connections ADDRESS PORT SECONDS [AT_A_TIME]
//                                                 connections a second: connect, one byte there and
//                                                 back, close with a reset (no TIME_WAIT left)
//   network_load bulk ADDRESS PORT SECONDS        Gbit/s of one stream
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
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

void close_with_reset(int connection) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ::close(connection);
}

void ask(int connection) {
    const char byte = 'c';
    if (::send(connection, &byte, 1, MSG_NOSIGNAL) != 1) {
        fail("ask");
    }
}

void hear(int connection) {
    char byte = 0;
    if (::recv(connection, &byte, 1, 0) != 1) {
        fail("hear");
    }
}

std::uint64_t connect_one_by_one(const Address& address, Clock::time_point start, double seconds) {
    std::uint64_t count = 0;
    while (seconds_since(start) < seconds) {
        const int connection = connect_to(address);
        ask(connection);
        hear(connection);
        close_with_reset(connection);
        ++count;
    }
    return count;
}

// Those that are in the making, and those that wait for their answer, told apart by what they are
// waited for.
class Crowd {
  public:
    explicit Crowd(const Address& address)
        : address_(address)
        , poll_(::epoll_create1(EPOLL_CLOEXEC)) {}

    void begin() {
        const int connection =
            ::socket(address_.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connection < 0 || (::connect(connection, address_.generic(), address_.size) != 0 &&
                               errno != EINPROGRESS)) {
            fail("connect");
        }
        wait_for(EPOLL_CTL_ADD, connection, EPOLLOUT);
    }

    // How many have ended; as many have begun.
    std::uint64_t go_on() {
        epoll_event events[64];
        const int ready = ::epoll_wait(poll_, events, std::size(events), 1000);
        std::uint64_t ended = 0;
        for (int i = 0; i < ready; ++i) {
            const int connection = events[i].data.fd;
            if ((events[i].events & EPOLLOUT) != 0) {
                ask(connection);
                wait_for(EPOLL_CTL_MOD, connection, EPOLLIN);
                continue;
            }
            hear(connection);
            close_with_reset(connection);
            begin();
            ++ended;
        }
        return ended;
    }

  private:
    void wait_for(int operation, int connection, std::uint32_t what) const {
        epoll_event event{.events = what, .data = {.fd = connection}};
        ::epoll_ctl(poll_, operation, connection, &event);
    }

    const Address& address_;
    int poll_;
};

int measure_connections(const Address& address, double seconds, int at_a_time) {
    const Clock::time_point start = Clock::now();
    std::uint64_t count = 0;
    if (at_a_time == 1) {
        count = connect_one_by_one(address, start, seconds);
    } else {
        Crowd crowd(address);
        for (int i = 0; i < at_a_time; ++i) {
            crowd.begin();
        }
        while (seconds_since(start) < seconds) {
            count += crowd.go_on();
        }
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
    const int at_a_time = count == 6 ? std::atoi(words[5]) : 1;
    if (mode == "connections" && (count == 5 || count == 6) && at_a_time >= 1) {
        return measure_connections(address_of(words[2], words[3]), std::atof(words[4]), at_a_time);
    }
    if (mode == "bulk" && count == 5) {
        return measure_bulk(address_of(words[2], words[3]), std::atof(words[4]));
    }
    std::fprintf(
        stderr,
        "usage: network_load serve PORT | connections ADDRESS PORT SECONDS [AT_A_TIME]"
        " | bulk ADDRESS PORT SECONDS\n");
    return 2;
}
