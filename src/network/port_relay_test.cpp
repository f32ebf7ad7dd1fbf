// SPDX-License-Identifier: Apache-2.0
// Real connections. The container's address is 127.0.0.1, the host's port is one of [::1].
#include "kernel/netlink_test_support.h"
#include "network/port_relay_test_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

using kernel::in_new_network;

constexpr RelayLimits generous{.connections = 100, .datagram_clients = 100};

// One connection through a relay, and its two ends.
struct Carried {
    UniqueFd listener = listen_at("127.0.0.1", 80);
    RelayedTestPort port{Protocol::Tcp, generous};
    UniqueFd client = connect_to(Protocol::Tcp, "::1", 8080);
    UniqueFd server = accept_at(listener);
};

std::string pattern(std::size_t size, char seed) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>(seed + static_cast<char>(i * 7 + i / 251));
    }
    return text;
}

// Until nothing fits any more for a while; how much did.
std::size_t fill(const UniqueFd& socket) {
    const std::string chunk(1U << 16, 'x');
    std::size_t total = 0;
    while (true) {
        const ssize_t sent =
            ::send(socket.get(), chunk.data(), chunk.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            total += static_cast<std::size_t>(sent);
            continue;
        }
        pollfd room{.fd = socket.get(), .events = POLLOUT, .revents = 0};
        if (::poll(&room, 1, 300) == 0) {
            return total;
        }
    }
}

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST(PortRelay, CarriesBytesBothWaysAtOnce) {
    in_new_network([] {
        Carried carried;
        const std::string there = pattern(9'000'001, 'a');
        const std::string back = pattern(7'000'003, 'b');
        std::thread client_writes([&] { send_all(carried.client, there); });
        std::thread server_writes([&] { send_all(carried.server, back); });
        std::string seen_by_server;
        std::thread server_reads([&] { seen_by_server = receive(carried.server, there.size()); });
        EXPECT_TRUE(receive(carried.client, back.size()) == back);
        client_writes.join();
        server_writes.join();
        server_reads.join();
        EXPECT_TRUE(seen_by_server == there);
    });
}

TEST(PortRelay, PassesTheEndOfEachDirectionOn) {
    in_new_network([] {
        Carried asks;
        send_all(asks.client, "question");
        ::shutdown(asks.client.get(), SHUT_WR);
        EXPECT_EQ(receive_all(asks.server), "question");
        send_all(asks.server, "answer");
        asks.server.reset();
        EXPECT_EQ(receive_all(asks.client), "answer");
    });
    in_new_network([] {
        Carried tells;
        send_all(tells.server, "greeting");
        ::shutdown(tells.server.get(), SHUT_WR);
        EXPECT_EQ(receive_all(tells.client), "greeting");
        send_all(tells.client, "later");
        tells.client.reset();
        EXPECT_EQ(receive_all(tells.server), "later");
    });
}

TEST(PortRelay, PassesResetsOn) {
    in_new_network([] {
        Carried by_client;
        reset(std::move(by_client.client));
        EXPECT_EQ(receive_all(by_client.server), "reset");
    });
    in_new_network([] {
        Carried by_server;
        send_all(by_server.client, "x");
        EXPECT_EQ(receive(by_server.server, 1), "x");
        reset(std::move(by_server.server));
        EXPECT_EQ(receive_all(by_server.client), "reset");
    });
    // An answer before it arrives nevertheless.
    in_new_network([] {
        Carried hasty;
        send_all(hasty.client, "x");
        EXPECT_TRUE(has_client(hasty.server));
        send_all(hasty.server, "answer");
        hasty.server.reset(); // with a byte unread
        EXPECT_EQ(receive_all(hasty.client), "answerreset");
    });
    // Of a client that nobody reads from, too.
    in_new_network([] {
        Carried stuck;
        EXPECT_GT(fill(stuck.client), 0U);
        reset(std::move(stuck.client));
        EXPECT_TRUE(receive_all(stuck.server).ends_with("reset"));
    });
}

TEST(PortRelay, ResetsTheClientOfAContainerThatRefuses) {
    in_new_network([] {
        const RelayedTestPort port{Protocol::Tcp, generous};
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(receive_all(connect_to(Protocol::Tcp, "::1", 8080)), "reset");
        }
        const UniqueFd listener = listen_at("127.0.0.1", 80); // it has started meanwhile
        const UniqueFd client = connect_to(Protocol::Tcp, "::1", 8080);
        send_all(accept_at(listener), "here");
        EXPECT_EQ(receive(client, 4), "here");
    });
}

TEST(PortRelay, ReadsNoMoreThanTheOtherSideTakes) {
    in_new_network([] {
        Carried carried;
        const std::size_t sent = fill(carried.client);
        EXPECT_GT(sent, 100'000U);
        EXPECT_LT(sent, 64U << 20U); // the kernel's buffers
        ::shutdown(carried.client.get(), SHUT_WR);
        // The other direction is not held up.
        send_all(carried.server, "hello");
        EXPECT_EQ(receive(carried.client, 5), "hello");
        EXPECT_EQ(receive_all(carried.server).size(), sent);
    });
}

// Both directions of the container's connection have ended, and the kernel says so all the time.
TEST(PortRelay, SleepsWhileASlowClientHasBytesToFetch) {
    in_new_network([] {
        kernel::output_of({"sysctl", "-qw", "net.ipv4.tcp_wmem=4096 16384 16384"});
        kernel::output_of({"sysctl", "-qw", "net.ipv4.tcp_rmem=4096 262144 262144"});
        const UniqueFd listener = listen_at("127.0.0.1", 80);
        const RelayedTestPort port{Protocol::Tcp, generous};
        const UniqueFd client = connect_to(Protocol::Tcp, "::1", 8080, 4096);
        UniqueFd server = accept_at(listener);
        ::shutdown(client.get(), SHUT_WR);
        EXPECT_EQ(receive_all(server), "");
        // More than a pipe, the relay's buffer for the client and the client's own one take, and
        // less than the relay's buffer of the container besides.
        const std::string text = pattern(130'000, 'c');
        send_all(server, text);
        server.reset();
        const auto is_over = [] {
            return kernel::output_of({"ss", "-Htn", "state", "last-ack", "sport", "= :80"}).empty();
        };
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        while (!is_over() && std::chrono::steady_clock::now() < until) {
        }
        ASSERT_TRUE(is_over()) << "the container's end has not arrived";
        const std::clock_t before = std::clock();
        pollfd nothing{.fd = -1, .events = 0, .revents = 0};
        ::poll(&nothing, 1, 500);
        EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 5);
        EXPECT_TRUE(receive_all(client) == text);
    });
}

TEST(PortRelay, LetsClientsWaitBeyondItsLimit) {
    in_new_network([] {
        const UniqueFd listener = listen_at("127.0.0.1", 80);
        const RelayLimits few{.connections = 4, .datagram_clients = 4};
        RelayedTestPort port(Protocol::Tcp, few);
        std::vector<UniqueFd> clients;
        for (int i = 0; i < 5; ++i) {
            clients.push_back(connect_to(Protocol::Tcp, "::1", 8080));
        }
        UniqueFd first = accept_at(listener);
        const UniqueFd second = accept_at(listener);
        EXPECT_FALSE(has_client(listener)); // a port has half of all
        // Another one is not held up.
        port.add(Protocol::Tcp, 8081);
        const UniqueFd other = connect_to(Protocol::Tcp, "::1", 8081);
        send_all(accept_at(listener), "other");
        EXPECT_EQ(receive(other, 5), "other");
        EXPECT_FALSE(has_client(listener));
        // Who waits comes in when somebody goes.
        first.reset();
        EXPECT_EQ(receive_all(clients[0]), "");
        clients[0].reset();
        send_all(accept_at(listener), "third");
        EXPECT_EQ(receive(clients[2], 5), "third");
    });
}

TEST(PortRelay, HasADescriptorForEachEndAndGivesItBack) {
    in_new_network([] {
        constexpr std::size_t count = 40;
        const UniqueFd listener = listen_at("127.0.0.1", 80);
        const RelayedTestPort port{Protocol::Tcp, generous};
        constexpr std::size_t spare = std::size_t{2} * 16; // pipes that are kept
        const std::size_t before = open_descriptors();
        std::vector<UniqueFd> ends;
        for (std::size_t i = 0; i < count; ++i) {
            ends.push_back(connect_to(Protocol::Tcp, "::1", 8080));
            ends.push_back(accept_at(listener));
            send_all(ends.back(), "x");
            EXPECT_EQ(receive(ends[2 * i], 1), "x");
        }
        EXPECT_LE(open_descriptors(), before + 4 * count + spare);
        for (std::size_t i = 0; i < count; ++i) {
            ends[2 * i + 1].reset();
            EXPECT_EQ(receive_all(ends[2 * i]), "");
            ends[2 * i].reset();
        }
        // One more, when the ends of all have arrived.
        const UniqueFd last = connect_to(Protocol::Tcp, "::1", 8080);
        const UniqueFd server = accept_at(listener);
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (open_descriptors() > before + 4 + spare &&
               std::chrono::steady_clock::now() < until) {
            std::this_thread::yield();
        }
        EXPECT_LE(open_descriptors(), before + 4 + spare);
    });
}

TEST(PortRelay, EndsConnectionsWhenThePortIsWithdrawn) {
    in_new_network([] {
        Carried carried;
        send_all(carried.server, "half of it");
        carried.port.remove();
        EXPECT_TRUE(receive_all(carried.client).ends_with("reset"));
        EXPECT_EQ(receive_all(carried.server), "reset");
        EXPECT_FALSE(connect_to(Protocol::Tcp, "::1", 8080));
        EXPECT_EQ(errno, ECONNREFUSED);
        // It is free at once.
        carried.port.add(Protocol::Tcp, 8080);
        const UniqueFd client = connect_to(Protocol::Tcp, "::1", 8080);
        send_all(accept_at(carried.listener), "again");
        EXPECT_EQ(receive(client, 5), "again");
    });
}

TEST(PortRelay, DeliversTheLastWordsOfAContainerThatEnds) {
    in_new_network([] {
        const UniqueFd listener = listen_at("127.0.0.1", 80);
        RelayedTestPort port{Protocol::Tcp, generous};
        for (int i = 0; i < 200; ++i) {
            const UniqueFd client = connect_to(Protocol::Tcp, "::1", 8080);
            UniqueFd server = accept_at(listener);
            send_all(server, "last words");
            server.reset();
            port.remove();
            ASSERT_EQ(receive_all(client), "last words") << i;
            port.add(Protocol::Tcp, 8080);
        }
    });
}

} // namespace
} // namespace berth::network
