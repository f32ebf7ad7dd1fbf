// SPDX-License-Identifier: Apache-2.0
// Long connections between containers and another host: which of their packets pass the bridge by,
// that each byte arrives, and what brings them back to the ordinary way.
#include "base/file.h"
#include "network/flow_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::IpFamily;
using kernel::output_of;
using Clock = std::chrono::steady_clock;

constexpr std::size_t portion = 8U << 20;
constexpr int ordinary_packets = 24; // of a portion that goes the short way, at most
constexpr std::chrono::seconds patience{30};

// Packets that an interface of the host has counted.
int passed(
    const std::string& interface, const std::vector<const char*>& directions = {"RX:", "TX:"}) {
    const std::string shown = output_of({"ip", "-s", "link", "show", interface});
    int packets = 0;
    for (const char* direction : directions) {
        std::istringstream numbers(shown.substr(shown.find(direction)));
        std::string heading;
        std::getline(numbers, heading);
        long bytes = 0;
        int count = 0;
        numbers >> bytes >> count;
        packets += count;
    }
    return packets;
}

// Packets between the host and the bridge.
int bridged() {
    return passed("test0");
}

bool goes_the_short_way(Stream& stream) {
    const int before = bridged();
    EXPECT_TRUE(stream.to_server(portion));
    EXPECT_TRUE(stream.to_client(portion));
    return bridged() - before <= ordinary_packets;
}

bool comes_to(const std::function<bool()>& state) {
    const Clock::time_point start = Clock::now();
    while (!state()) {
        if (Clock::now() - start > patience || testing::Test::HasFailure()) {
            return false;
        }
    }
    return true;
}

bool comes_to_the_short_way(Stream& stream) {
    return comes_to([&] { return goes_the_short_way(stream); });
}

// Long enough for a connection to be heard of, by far.
bool stays_on_the_ordinary_way(Stream& stream) {
    const Clock::time_point start = Clock::now();
    while (Clock::now() - start < std::chrono::seconds(2)) {
        if (goes_the_short_way(stream)) {
            return false;
        }
    }
    return true;
}

// Checksums by the sender itself, so that the receiver looks at them.
void check_sums(const UniqueFd& netns, const char* interface) {
    within(netns, [&] {
        const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        ethtool_value value{.cmd = ETHTOOL_STXCSUM, .data = 0};
        ifreq request{};
        std::string(interface).copy(request.ifr_name, sizeof request.ifr_name - 1);
        request.ifr_data = reinterpret_cast<char*>(&value);
        EXPECT_EQ(::ioctl(socket.get(), SIOCETHTOOL, &request), 0);
    });
}

// What an interface receives of TCP, by a packet socket.
class Capture {
  public:
    Capture(const UniqueFd& netns, const char* interface, IpFamily family)
        : v4_(family == IpFamily::V4) {
        within(netns, [&] {
            socket_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            sockaddr_ll place{};
            place.sll_family = AF_PACKET;
            place.sll_protocol = htons(v4_ ? ETH_P_IP : ETH_P_IPV6);
            place.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
            EXPECT_EQ(
                ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place), 0);
        });
    }

    // Of each kind of packet that has come, the receiver's MAC and the TTL, or hop limit.
    std::set<std::string> kinds() const {
        const std::size_t protocol = v4_ ? 14 + 9 : 14 + 6;
        const std::size_t hops = v4_ ? 14 + 8 : 14 + 7;
        std::set<std::string> seen;
        std::array<std::uint8_t, 64> head{};
        sockaddr_ll from{};
        socklen_t size = sizeof from;
        while (::recvfrom(
                   socket_.get(),
                   head.data(),
                   head.size(),
                   MSG_TRUNC,
                   reinterpret_cast<sockaddr*>(&from),
                   &size) > 0) {
            if (from.sll_pkttype != PACKET_OUTGOING && head[protocol] == IPPROTO_TCP) {
                kernel::MacAddress mac;
                std::copy_n(head.begin(), mac.bytes.size(), mac.bytes.begin());
                seen.insert(mac.to_string() + " " + std::to_string(head[hops]));
            }
        }
        return seen;
    }

  private:
    bool v4_;
    UniqueFd socket_;
};

class FlowShortcutOf : public testing::TestWithParam<IpFamily> {};

INSTANTIATE_TEST_SUITE_P(
    BothVersions, FlowShortcutOf, testing::Values(IpFamily::V4, IpFamily::V6), version_name);

TEST_P(FlowShortcutOf, LeadsLongConnectionsOfPublishedPorts) {
    in_new_network([] {
        const Scene scene(GetParam());
        Stream stream = scene.visit();
        EXPECT_EQ(stream.peer, scene.at.world);
        EXPECT_TRUE(comes_to_the_short_way(stream));
    });
}

TEST_P(FlowShortcutOf, LeadsTheWayOut) {
    in_new_network([] {
        const Scene scene(GetParam());
        Stream stream = scene.call();
        EXPECT_EQ(stream.peer, scene.at.host);
        EXPECT_TRUE(comes_to_the_short_way(stream));
    });
}

TEST_P(FlowShortcutOf, LeadsWhatIsNotTranslated) {
    in_new_network([] {
        const Scene scene(GetParam(), [](BridgeOptions& options) {
            options.gateway_mode = GatewayMode::Routed;
            options.gateway_mode_v6 = GatewayMode::Routed;
        });
        within(scene.outside, [&] {
            scene.ip({"route", "add", scene.at.subnet, "via", scene.at.host});
        });
        const std::string container = scene.container().to_string();
        Stream visit(scene.outside, container, 80, *scene.listener);
        EXPECT_TRUE(comes_to_the_short_way(visit));
        Stream call = scene.call();
        EXPECT_EQ(call.peer, container);
        EXPECT_TRUE(comes_to_the_short_way(call));
    });
}

TEST_P(FlowShortcutOf, TakesTheContainersOwnRoute) {
    in_new_network([] {
        const Scene scene(GetParam());
        scene.join_again();
        Stream by_default = scene.call(scene.at.beyond);
        EXPECT_EQ(by_default.peer, scene.at.host);
        EXPECT_TRUE(comes_to_the_short_way(by_default));
        const std::string via = scene.at.second_next_hop;
        scene.ip({"route", "add", "default", "via", via, "dev", "wan2", "table", "100"});
        scene.ip({"rule", "add", "from", scene.at.subnet, "lookup", "100"});
        Stream by_rule = scene.call(scene.at.beyond);
        EXPECT_EQ(by_rule.peer, scene.at.second_host);
        EXPECT_TRUE(comes_to_the_short_way(by_rule));
        const int before = passed("wan0");
        EXPECT_TRUE(goes_the_short_way(by_rule));
        EXPECT_LE(passed("wan0") - before, 4);
    });
}

// By the descriptors of this process.
bool has_quick_program(const std::string& interface) {
    const std::string shown = output_of({"ip", "-o", "link", "show", interface});
    const std::string wanted = "ifindex:\t" + shown.substr(0, shown.find(':')) + "\n";
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        const std::string text = read_file(entry.path().string()).value_or("");
        if (text.find("link_type:\ttcx") != std::string::npos &&
            text.find(wanted) != std::string::npos) {
            return true;
        }
    }
    return false;
}

TEST(FlowShortcut, HastensNeighborsThatSendMuch) {
    in_new_network([] {
        const Scene scene(IpFamily::V4);
        const Endpoint other = connect(*scene.network, "other");
        {
            Stream stream(other.netns, scene.web.ip.to_string(), 80, *scene.listener);
            EXPECT_TRUE(comes_to([&] {
                EXPECT_TRUE(stream.to_server(portion) && stream.to_client(portion));
                return has_quick_program(other.host_interface) &&
                       has_quick_program(scene.web.host_interface);
            }));
            // What the bridge hands to the container is what its end of the pair sends.
            const int before = passed(scene.web.host_interface, {"TX:"});
            EXPECT_TRUE(stream.to_server(portion) && stream.to_client(portion));
            EXPECT_LE(passed(scene.web.host_interface, {"TX:"}) - before, 4);
        }
        // Others still have no way by it, and the world has one past it.
        inside(other, {"ip", "address", "delete", "172.17.0.3/16", "dev", "eth0"});
        inside(other, {"ip", "address", "add", "172.17.0.77/16", "dev", "eth0"});
        const EchoServer server(scene.web.netns, Protocol::Tcp, 81);
        EXPECT_EQ(ask_in_vain(other.netns, Protocol::Tcp, scene.web.ip.to_string(), 81), "timeout");
        Stream visit = scene.visit();
        EXPECT_TRUE(comes_to_the_short_way(visit));
        ASSERT_TRUE(scene.network->disconnect("web").ok());
        EXPECT_FALSE(visit.to_client(portion));
    });
}

TEST_P(FlowShortcutOf, ChangesPacketsAsForwardingDoes) {
    in_new_network([] {
        const Scene scene(GetParam());
        Stream stream = scene.visit();
        const Capture received(scene.web.netns, "eth0", GetParam());
        const Capture answered(scene.outside, "wan1", GetParam());
        EXPECT_TRUE(stream.to_server(1000) && stream.to_client(1000));
        const std::set<std::string> ordinary = received.kinds();
        const std::set<std::string> ordinary_answers = answered.kinds();
        EXPECT_THAT(ordinary, testing::ElementsAre(scene.web.mac.to_string() + " 63"));
        ASSERT_EQ(ordinary_answers.size(), 1U);
        EXPECT_TRUE(comes_to_the_short_way(stream));
        // Of what has come since there was no room any more.
        received.kinds();
        answered.kinds();
        const int before = bridged();
        EXPECT_TRUE(stream.to_server(100'000) && stream.to_client(100'000));
        EXPECT_LE(bridged() - before, 2);
        EXPECT_EQ(received.kinds(), ordinary);
        EXPECT_EQ(answered.kinds(), ordinary_answers);
    });
}

TEST_P(FlowShortcutOf, KeepsChecksumsRight) {
    in_new_network([] {
        const Scene scene(GetParam());
        check_sums(scene.outside, "wan1");
        check_sums(scene.web.netns, "eth0");
        Stream visit = scene.visit();
        EXPECT_TRUE(comes_to([&] {
            const int before = bridged();
            EXPECT_TRUE(visit.to_server(portion) && visit.to_client(portion));
            return bridged() - before < 200; // of thousands: these are not put together
        }));
    });
}

// What a sender leaves to the device, the host must sum up where its own device cannot.
TEST_P(FlowShortcutOf, KeepsSumsRightThatAreStillToBeMade) {
    in_new_network([] {
        const Scene scene(GetParam());
        check_sums(here, "wan0");
        Stream call = scene.call();
        EXPECT_TRUE(comes_to([&] {
            const int before = bridged();
            EXPECT_TRUE(call.to_server(portion));
            return bridged() - before < 200;
        }));
        const int before = bridged();
        EXPECT_TRUE(call.to_server(portion));
        EXPECT_LT(bridged() - before, 200);
    });
}

bool is_tracked_as(const std::string& state, const std::string& port) {
    std::istringstream tracked(output_of({"cat", "/proc/net/nf_conntrack"}));
    bool found = false;
    for (std::string line; std::getline(tracked, line);) {
        found = found || (line.find(state) != std::string::npos &&
                          line.find(port + " ") != std::string::npos);
    }
    return found;
}

TEST_P(FlowShortcutOf, LeavesEndsToTheKernel) {
    in_new_network([] {
        const Scene scene(GetParam());
        for (int i = 0; i < 3; ++i) {
            Stream stream = scene.visit(5000);
            EXPECT_TRUE(comes_to_the_short_way(stream));
            // Out of the window of what the kernel has seen, and to the right one all the same.
            stream.reset();
        }
        for (int i = 0; i < 2; ++i) {
            Stream stream = scene.visit(static_cast<std::uint16_t>(6000 + i));
            EXPECT_TRUE(comes_to_the_short_way(stream));
            stream.close();
            const std::string port = "sport=" + std::to_string(6000 + i);
            EXPECT_TRUE(comes_to([&port] { return !is_tracked_as("ESTABLISHED", port); }));
        }
    });
}

TEST_P(FlowShortcutOf, EndsWithTheEndpoint) {
    in_new_network([] {
        const Scene scene(GetParam());
        Stream stream = scene.visit(5000);
        ASSERT_TRUE(comes_to_the_short_way(stream));
        ASSERT_TRUE(scene.network->disconnect("web").ok());
        EXPECT_FALSE(stream.to_server(portion));
        // Whoever has the address and the port next is not disturbed by it.
        EndpointRequest again{
            .id = "next",
            .container_name = {},
            .ports = {tcp(8080, 80, scene.at.any)},
            .ip = scene.web.ip,
            .ip_v6 = scene.web.ip_v6};
        const Endpoint next = connect(*scene.network, std::move(again));
        const Listener listener(next.netns, scene.at.any, 80);
        Stream other(scene.outside, scene.at.host, 8080, listener, 5001);
        EXPECT_TRUE(comes_to_the_short_way(other));
    });
}

TEST(FlowShortcut, GoesOnTheOrdinaryWayWithoutAnEngine) {
    in_new_network([] {
        Scene scene(IpFamily::V4);
        Stream stream = scene.visit();
        ASSERT_TRUE(comes_to_the_short_way(stream));
        scene.network.reset();
        scene.driver.reset();
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
    });
}

TEST_P(FlowShortcutOf, LetsRulesOfOthersSeeEachPacket) {
    in_new_network([] {
        const Scene scene(GetParam());
        const std::string own = GetParam() == IpFamily::V4 ? "ip" : "ip6";
        for (const std::string& chain :
             {std::string("inet x forward { type filter hook forward priority 0; }"),
              own + " x raw { type filter hook prerouting priority -300; }",
              std::string("inet x last { type filter hook postrouting priority 0; }"),
              std::string("bridge x frames { type filter hook forward priority 0; }")}) {
            Stream stream = scene.visit();
            ASSERT_TRUE(comes_to_the_short_way(stream)) << chain;
            const std::string& text = chain;
            const std::string family = text.substr(0, text.find(' '));
            const std::string name = text.substr(0, text.find('{'));
            output_of({"nft", "add table " + family + " x; add chain " + text});
            EXPECT_TRUE(goes_the_short_way(stream)) << "a chain without rules: " << chain;
            output_of({"nft", "add rule " + name + "counter"});
            EXPECT_TRUE(comes_to([&] { return !goes_the_short_way(stream); })) << chain;
            EXPECT_TRUE(stays_on_the_ordinary_way(stream)) << chain;
            output_of({"nft", "delete table " + family + " x"});
            EXPECT_TRUE(comes_to_the_short_way(stream)) << chain;
        }
        // Translation of others is of first packets only, and has been heeded.
        output_of(
            {"nft",
             "add table inet x; add chain inet x nat { type nat hook postrouting priority 0; }; "
             "add rule inet x nat counter"});
        Stream stream = scene.visit();
        EXPECT_TRUE(comes_to_the_short_way(stream));
    });
}

TEST_P(FlowShortcutOf, HeedsWhatChangesOnTheHost) {
    in_new_network([] {
        const Scene scene(GetParam());
        Stream stream = scene.visit();
        ASSERT_TRUE(comes_to_the_short_way(stream));
        // A policer on the interface to the outside.
        output_of({"tc", "qdisc", "add", "dev", "wan0", "ingress"});
        EXPECT_TRUE(comes_to([&] { return !goes_the_short_way(stream); }));
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
        output_of({"tc", "qdisc", "delete", "dev", "wan0", "ingress"});
        EXPECT_TRUE(comes_to_the_short_way(stream));
        // A container that takes less than it did: who sends is told.
        const bool v4 = GetParam() == IpFamily::V4;
        const std::string mtu = v4 ? "900" : "1300";
        const std::uint32_t largest_segment = v4 ? 900 - 40 : 1300 - 60;
        output_of({"ip", "link", "set", scene.web.host_interface, "mtu", mtu});
        inside(scene.web, {"ip", "link", "set", "eth0", "mtu", mtu});
        output_of({"ip", "link", "set", "test0", "mtu", mtu});
        EXPECT_TRUE(comes_to(
            [&] { return stream.to_server(portion) && stream.segment_size() <= largest_segment; }));
        EXPECT_TRUE(comes_to_the_short_way(stream));
        // No way to the world any more.
        scene.ip({"route", "add", "blackhole", scene.at.world});
        EXPECT_TRUE(comes_to([&] { return !stream.to_client(portion); }));
    });
}

TEST(FlowShortcut, LeavesWhoeverShallNotTakeIt) {
    in_new_network([] {
        const Scene scene(IpFamily::V4, [](BridgeOptions& options) { options.shortcut = false; });
        Stream stream = scene.visit();
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
    });
    in_new_network([] {
        const Scene limited(IpFamily::V4, {}, {.egress = 2'000'000'000, .ingress = 2'000'000'000});
        Stream stream = limited.visit();
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
    });
}

} // namespace
} // namespace berth::network
