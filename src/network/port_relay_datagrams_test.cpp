// SPDX-License-Identifier: Apache-2.0
// Real datagrams. The container's address is 127.0.0.1, the host's port is one of [::].
#include "kernel/netlink_test_support.h"
#include "network/port_relay_test_support.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;

// The container's server, which remembers who has sent.
class DatagramServer {
  public:
    std::string hear() {
        std::array<char, 65536> text{};
        socklen_t size = sizeof from_;
        const ssize_t received = ::recvfrom(
            socket_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from_), &size);
        return received < 0 ? "nothing"
                            : std::string(text.data(), static_cast<std::size_t>(received));
    }

    void say(const std::string& text, const sockaddr_in& to) {
        ::sendto(
            socket_.get(),
            text.data(),
            text.size(),
            0,
            reinterpret_cast<const sockaddr*>(&to),
            sizeof to);
    }

    void answer(const std::string& text) { say(text, from_); }

    const sockaddr_in& sender() const { return from_; }

    std::uint16_t port() const { return ntohs(from_.sin_port); }

  private:
    UniqueFd socket_ = bind_at(Protocol::Udp, "127.0.0.1", 80);
    sockaddr_in from_{};
};

std::string received_by(const UniqueFd& client) {
    std::array<char, 65536> text{};
    const ssize_t received = ::recv(client.get(), text.data(), text.size(), 0);
    return received < 0 ? "nothing" : std::string(text.data(), static_cast<std::size_t>(received));
}

bool hears_nothing(const UniqueFd& client) {
    char byte = 0;
    return ::recv(client.get(), &byte, 1, MSG_DONTWAIT) < 0;
}

// The kernel has no route to a new address for a moment, now and then.
void add_own_address(const std::string& address) {
    output_of({"ip", "address", "add", address + "/128", "dev", "lo", "nodad"});
    const UniqueFd probe = bind_at(Protocol::Udp, address, 9);
    const UniqueFd sender = connect_to(Protocol::Udp, address, 9);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (hears_nothing(probe) && std::chrono::steady_clock::now() < until) {
        send_all(sender, "?");
    }
}

constexpr RelayLimits generous_to_datagrams{.connections = 100, .datagram_clients = 100};

TEST(PortRelay, CarriesDatagramsOfSeveralClients) {
    in_new_network([] {
        add_own_address("fd99::1");
        const RelayedTestPort port{Protocol::Udp, generous_to_datagrams};
        DatagramServer server;
        // Connected sockets hear only what comes from the address that they send to.
        const UniqueFd one = connect_to(Protocol::Udp, "::1", 8080);
        const UniqueFd two = bind_at(Protocol::Udp, "::1", 9999);
        const UniqueFd to_address = connect_to(Protocol::Udp, "fd99::1", 8080);
        sockaddr_in6 address{};
        socklen_t size = sizeof address;
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        ::getpeername(to_address.get(), generic, &size);
        ASSERT_EQ(::connect(two.get(), generic, size), 0);
        send_all(one, "one");
        EXPECT_EQ(server.hear(), "one");
        const sockaddr_in first = server.sender();
        const std::string long_one(60'000, 'l');
        send_all(two, long_one);
        EXPECT_EQ(server.hear().size(), long_one.size());
        EXPECT_NE(server.port(), ntohs(first.sin_port));
        server.answer(long_one);
        EXPECT_EQ(received_by(two).size(), long_one.size());
        server.say("late", first);
        EXPECT_EQ(received_by(one), "late");
        send_all(one, "more");
        EXPECT_EQ(server.hear(), "more");
        EXPECT_EQ(server.port(), ntohs(first.sin_port)); // the same client
        EXPECT_TRUE(hears_nothing(two));
    });
}

TEST(PortRelay, CarriesDatagramsOnceTheContainerListens) {
    in_new_network([] {
        const RelayedTestPort port{Protocol::Udp, generous_to_datagrams};
        const UniqueFd client = connect_to(Protocol::Udp, "::1", 8080);
        send_all(client, "too early");
        send_all(client, "too early");
        DatagramServer server;
        // One that is refused may be under way still.
        std::string heard;
        for (int i = 0; i < 3 && heard != "now"; ++i) {
            send_all(client, "now");
            heard = server.hear();
        }
        EXPECT_EQ(heard, "now");
        server.answer("yes");
        EXPECT_EQ(received_by(client), "yes");
    });
}

TEST(PortRelay, ForgetsSilentSendersOfDatagrams) {
    in_new_network([] {
        const RelayLimits hasty{
            .connections = 1,
            .datagram_clients = 10,
            .datagram_idle = std::chrono::milliseconds(100)};
        const RelayedTestPort port(Protocol::Udp, hasty);
        DatagramServer server;
        const UniqueFd client = connect_to(Protocol::Udp, "::1", 8080);
        send_all(client, "one");
        EXPECT_EQ(server.hear(), "one");
        const sockaddr_in before = server.sender();
        // Its socket goes: then its port is free.
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        bool is_free = false;
        while (!is_free && std::chrono::steady_clock::now() < until) {
            const UniqueFd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            is_free =
                ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&before), sizeof before) == 0;
        }
        EXPECT_TRUE(is_free);
        send_all(client, "two");
        EXPECT_EQ(server.hear(), "two");
        server.answer("two");
        EXPECT_EQ(received_by(client), "two");
    });
}

TEST(PortRelay, MakesRoomForNewSendersOfDatagrams) {
    in_new_network([] {
        const RelayLimits few{.connections = 1, .datagram_clients = 6}; // three for one port
        const RelayedTestPort port(Protocol::Udp, few);
        DatagramServer server;
        const UniqueFd answered = connect_to(Protocol::Udp, "::1", 8080);
        send_all(answered, "first");
        EXPECT_EQ(server.hear(), "first");
        const sockaddr_in first = server.sender();
        server.answer("yes");
        EXPECT_EQ(received_by(answered), "yes");
        // A flood of those that nobody answers.
        std::vector<UniqueFd> flood;
        for (int i = 0; i < 50; ++i) {
            flood.push_back(connect_to(Protocol::Udp, "::1", 8080));
            send_all(flood.back(), "flood");
            EXPECT_EQ(server.hear(), "flood");
        }
        server.answer("to the last");
        EXPECT_EQ(received_by(flood.back()), "to the last");
        server.say("still there", first);
        EXPECT_EQ(received_by(answered), "still there");
    });
}

TEST(PortRelay, EndsDatagramsWhenThePortIsWithdrawn) {
    in_new_network([] {
        RelayedTestPort port{Protocol::Udp, generous_to_datagrams};
        DatagramServer server;
        const UniqueFd client = connect_to(Protocol::Udp, "::1", 8080);
        send_all(client, "one");
        EXPECT_EQ(server.hear(), "one");
        server.answer("last words");
        port.remove();
        EXPECT_EQ(received_by(client), "last words");
        send_all(client, "two");
        EXPECT_EQ(received_by(client), "nothing");
        EXPECT_EQ(errno, ECONNREFUSED);
        bind_at(Protocol::Udp, "::", 8080); // free at once
    });
}

} // namespace
} // namespace berth::network
