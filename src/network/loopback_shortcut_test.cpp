// SPDX-License-Identifier: Apache-2.0
// Which connections are led, what both sides see of it, and that others are left alone.
#include "base/unique_fd.h"
#include "kernel/netlink_test_support.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;

// A connection of the test's own, in IPv6 unless told otherwise: "::ffff:1.2.3.4" is IPv4 in it.
class Client {
  public:
    explicit Client(int family = AF_INET6)
        : family_(family)
        , socket_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}

    bool bind(const std::string& address) { return name(address, 0, ::bind); }

    bool connect(const std::string& address, std::uint16_t port) {
        return name(address, port, ::connect);
    }

    // What the server says: the address that it sees.
    std::string answer() const {
        EXPECT_EQ(::send(socket_.get(), "?", 1, MSG_NOSIGNAL), 1);
        std::array<char, 64> text{};
        const ssize_t count = ::recv(socket_.get(), text.data(), text.size(), 0);
        return {text.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
    }

    // "address port", as getpeername(2) says.
    std::string peer() const {
        sockaddr_storage found{};
        socklen_t size = sizeof found;
        EXPECT_EQ(::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&found), &size), 0);
        std::array<char, INET6_ADDRSTRLEN> text{};
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(found);
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(found);
        const void* bytes = found.ss_family == AF_INET ? static_cast<const void*>(&v4.sin_addr)
                                                       : static_cast<const void*>(&v6.sin6_addr);
        ::inet_ntop(found.ss_family, bytes, text.data(), text.size());
        return std::string(text.data()) + " " + std::to_string(ntohs(v4.sin_port));
    }

    bool leave_peer() {
        sockaddr nobody{};
        nobody.sa_family = AF_UNSPEC;
        return ::connect(socket_.get(), &nobody, sizeof nobody) == 0;
    }

  private:
    bool name(
        const std::string& address,
        std::uint16_t port,
        int (*call)(int, const sockaddr*, socklen_t)) {
        sockaddr_in v4{};
        sockaddr_in6 v6{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        if (family_ == AF_INET) {
            EXPECT_EQ(::inet_pton(AF_INET, address.c_str(), &v4.sin_addr), 1);
            return call(socket_.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4) == 0;
        }
        EXPECT_EQ(::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr), 1);
        return call(socket_.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6) == 0;
    }

    int family_;
    UniqueFd socket_;
};

struct Published {
    std::unique_ptr<NetworkDriver> driver = start_driver();
    std::shared_ptr<BridgeNetwork> network;
    Endpoint web;
    std::unique_ptr<EchoServer> server;

    explicit Published(std::vector<PortRequest> ports, bool shortcut = true) {
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.subnet_v6 = *IpPrefix::parse("fd00:5::/64");
        options.shortcut = shortcut;
        network = create(*driver, options);
        web = connect(*network, "web", std::move(ports));
        server = std::make_unique<EchoServer>(web.netns, Protocol::Tcp, 80);
    }
};

// Counts the packets of ours whose destination is translated.
class Translations {
  public:
    Translations() {
        output_of({"nft", "add table inet watch"});
        output_of({"nft", "add chain inet watch out { type filter hook output priority 10; }"});
        output_of({"nft", "add rule inet watch out ct status dnat counter"});
    }

    // Since it was asked last.
    int more() {
        const std::string rules = output_of({"nft", "list", "table", "inet", "watch"});
        const std::string before = "counter packets ";
        const std::size_t place = rules.find(before);
        EXPECT_NE(place, std::string::npos) << rules;
        const int all = std::stoi(rules.substr(place + before.size()));
        return all - std::exchange(counted_, all);
    }

  private:
    int counted_ = 0;
};

PortRequest everywhere(std::uint16_t host, std::uint16_t container) {
    PortRequest request = tcp(host, container);
    request.every_family = true;
    return request;
}

struct Asked {
    int family = AF_INET;
    std::string address;
    std::string seen; // by the server
};

void expect_led(const Asked& asked, std::uint16_t port) {
    Client client(asked.family);
    ASSERT_TRUE(client.connect(asked.address, port)) << asked.address << ": " << strerror(errno);
    EXPECT_EQ(client.peer(), asked.address + " " + std::to_string(port));
    EXPECT_EQ(client.answer(), asked.seen);
}

TEST(LoopbackShortcut, LeadsBothFamiliesWithoutTranslation) {
    in_new_network([] {
        const Published published({everywhere(8080, 80)});
        Translations translations;
        expect_led({AF_INET, "127.0.0.1", "172.17.0.1"}, 8080);
        expect_led({AF_INET6, "::1", "fd00:5::1"}, 8080);
        expect_led({AF_INET6, "::ffff:127.0.0.1", "172.17.0.1"}, 8080);
        EXPECT_EQ(translations.more(), 0);
    });
}

TEST(LoopbackShortcut, LeavesToTheRulesWhatItMustNotLead) {
    in_new_network([] {
        const Published published({tcp(8080, 80)});
        Translations translations;
        // Another address of the host's loopback interface.
        Client other(AF_INET);
        ASSERT_TRUE(other.connect("127.0.0.2", 8080));
        EXPECT_EQ(other.answer(), "172.17.0.1");
        EXPECT_GT(translations.more(), 0);
        // A client that has said where it comes from.
        Client bound(AF_INET);
        ASSERT_TRUE(bound.bind("127.0.0.1"));
        ASSERT_TRUE(bound.connect("127.0.0.1", 8080));
        EXPECT_EQ(bound.peer(), "127.0.0.1 8080");
        EXPECT_EQ(bound.answer(), "172.17.0.1");
        EXPECT_GT(translations.more(), 0);
    });
}

TEST(LoopbackShortcut, IsNotThereForANetworkThatDoesNotWantIt) {
    in_new_network([] {
        const Published published({tcp(8080, 80)}, false);
        Translations translations;
        expect_led({AF_INET, "127.0.0.1", "172.17.0.1"}, 8080);
        EXPECT_GT(translations.more(), 0);
    });
}

TEST(LoopbackShortcut, LeadsOnlyWhatIsPublishedAtTheLoopbackAddress) {
    in_new_network([] {
        output_of({"ip", "address", "add", "10.1.2.3/32", "dev", "lo"});
        const Published published({tcp(8080, 80, "10.1.2.3"), tcp(8081, 80, "127.0.0.2")});
        EXPECT_EQ(ask(here, Protocol::Tcp, "10.1.2.3", 8080), "10.1.2.3");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.2", 8081), "172.17.0.1");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "refused");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8081), "refused");
    });
}

TEST(LoopbackShortcut, EndsWithThePort) {
    in_new_network([] {
        const Published published({tcp(8080, 80)});
        ASSERT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        ASSERT_TRUE(published.network->unpublish("web", published.web.ports).ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "refused");
        const EchoServer own(here, Protocol::Tcp, 8080);
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "127.0.0.1");
    });
}

TEST(LoopbackShortcut, DoesNotTouchOtherNamespaces) {
    in_new_network([] {
        const Published published({tcp(8080, 80)});
        const EchoServer own(published.web.netns, Protocol::Tcp, 8080);
        EXPECT_EQ(ask(published.web.netns, Protocol::Tcp, "127.0.0.1", 8080), "127.0.0.1");
    });
}

TEST(LoopbackShortcut, ASocketThatIsUsedAgainHasItsNewPeersName) {
    in_new_network([] {
        const Published published({tcp(8080, 80)});
        const EchoServer own(here, Protocol::Tcp, 9090);
        Client client(AF_INET);
        ASSERT_TRUE(client.connect("127.0.0.1", 8080));
        ASSERT_TRUE(client.leave_peer());
        ASSERT_TRUE(client.connect("127.0.0.1", 9090));
        EXPECT_EQ(client.peer(), "127.0.0.1 9090");
        // The container itself, by its own address.
        ASSERT_TRUE(client.leave_peer());
        ASSERT_TRUE(client.connect(published.web.ip.to_string(), 80));
        EXPECT_EQ(client.peer(), published.web.ip.to_string() + " 80");
    });
}

// What is published stays so, by the rules, while there is no engine.
TEST(LoopbackShortcut, EndsWithTheEngine) {
    in_new_network([] {
        Published published({tcp(8080, 80)});
        published.network.reset();
        published.driver.reset();
        Translations translations;
        expect_led({AF_INET, "127.0.0.1", "172.17.0.1"}, 8080);
        EXPECT_GT(translations.more(), 0);
    });
}

} // namespace
} // namespace berth::network
