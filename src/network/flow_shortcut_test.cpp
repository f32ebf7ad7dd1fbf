// SPDX-License-Identifier: Apache-2.0
// Long connections between containers and another host: which of their packets pass the bridge by,
// that each byte arrives, and what brings them back to the ordinary way.
#include "base/file.h"
#include "kernel/netlink_test_support.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"
#include "network/stream_test_support.h"

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
    Capture(const UniqueFd& netns, const char* interface) {
        within(netns, [&] {
            socket_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            sockaddr_ll place{};
            place.sll_family = AF_PACKET;
            place.sll_protocol = htons(ETH_P_IP);
            place.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
            EXPECT_EQ(
                ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place), 0);
        });
    }

    // Of each kind of packet that has come, the receiver's MAC and the TTL.
    std::set<std::string> kinds() const {
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
            if (from.sll_pkttype != PACKET_OUTGOING && head[14 + 9] == IPPROTO_TCP) {
                kernel::MacAddress mac;
                std::copy_n(head.begin(), mac.bytes.size(), mac.bytes.begin());
                seen.insert(mac.to_string() + " " + std::to_string(head[14 + 8]));
            }
        }
        return seen;
    }

  private:
    UniqueFd socket_;
};

// A host with a network "test0", a container with a published port, and the world outside.
struct Scene {
    explicit Scene(const std::function<void(BridgeOptions&)>& change = {}, RateLimits rates = {}) {
        outside = make_outside_world();
        driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        if (change) {
            change(options);
        }
        network = create(*driver, options);
        web = connect(
            *network,
            {.id = "web", .container_name = {}, .ports = {tcp(8080, 80)}, .rates = rates});
        listener.emplace(web.netns, std::uint16_t{80});
        world_listener.emplace(outside, std::uint16_t{90});
    }

    // From the world to the published port.
    Stream visit(std::uint16_t own_port = 0) const {
        return Stream(outside, "10.99.0.1", 8080, *listener, own_port);
    }

    // From the container to the world.
    Stream call(const std::string& address = "10.99.0.2") const {
        return Stream(web.netns, address, 90, *world_listener);
    }

    UniqueFd outside;
    std::unique_ptr<NetworkDriver> driver;
    std::shared_ptr<BridgeNetwork> network;
    Endpoint web;
    std::optional<Listener> listener;
    std::optional<Listener> world_listener;
};

TEST(FlowShortcut, LeadsLongConnectionsOfPublishedPorts) {
    in_new_network([] {
        const Scene scene;
        Stream stream = scene.visit();
        EXPECT_EQ(stream.peer, "10.99.0.2");
        EXPECT_TRUE(comes_to_the_short_way(stream));
    });
}

TEST(FlowShortcut, LeadsTheWayOut) {
    in_new_network([] {
        const Scene scene;
        Stream stream = scene.call();
        EXPECT_EQ(stream.peer, "10.99.0.1");
        EXPECT_TRUE(comes_to_the_short_way(stream));
    });
}

// A second wire to the world, and what only gateways lead to.
void join_again(const Scene& scene) {
    const std::string world =
        "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(scene.outside.get());
    output_of(
        {"ip", "link", "add", "wan2", "type", "veth", "peer", "name", "wan3", "netns", world});
    output_of({"ip", "address", "add", "10.98.0.1/24", "dev", "wan2"});
    output_of({"ip", "link", "set", "wan2", "up"});
    within(scene.outside, [] {
        output_of({"ip", "address", "add", "10.98.0.2/24", "dev", "wan3"});
        output_of({"ip", "link", "set", "wan3", "up"});
        output_of({"ip", "link", "set", "lo", "up"});
        output_of({"ip", "address", "add", "10.77.0.9/32", "dev", "lo"});
        output_of({"sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"}); // for its wires' own only
    });
}

TEST(FlowShortcut, TakesTheContainersOwnRoute) {
    in_new_network([] {
        const Scene scene;
        join_again(scene);
        Stream by_default = scene.call("10.77.0.9");
        EXPECT_EQ(by_default.peer, "10.99.0.1");
        EXPECT_TRUE(comes_to_the_short_way(by_default));
        output_of({"ip", "route", "add", "default", "via", "10.98.0.2", "table", "100"});
        output_of({"ip", "rule", "add", "from", "172.17.0.0/16", "lookup", "100"});
        Stream by_rule = scene.call("10.77.0.9");
        EXPECT_EQ(by_rule.peer, "10.98.0.1");
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
        const Scene scene;
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

TEST(FlowShortcut, ChangesPacketsAsForwardingDoes) {
    in_new_network([] {
        const Scene scene;
        Stream stream = scene.visit();
        const Capture received(scene.web.netns, "eth0");
        const Capture answered(scene.outside, "wan1");
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

TEST(FlowShortcut, KeepsChecksumsRight) {
    in_new_network([] {
        const Scene scene;
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

bool is_tracked_as(const std::string& state, const std::string& port) {
    std::istringstream tracked(output_of({"cat", "/proc/net/nf_conntrack"}));
    bool found = false;
    for (std::string line; std::getline(tracked, line);) {
        found = found || (line.find(state) != std::string::npos &&
                          line.find(port + " ") != std::string::npos);
    }
    return found;
}

TEST(FlowShortcut, LeavesEndsToTheKernel) {
    in_new_network([] {
        const Scene scene;
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

TEST(FlowShortcut, EndsWithTheEndpoint) {
    in_new_network([] {
        const Scene scene;
        Stream stream = scene.visit(5000);
        ASSERT_TRUE(comes_to_the_short_way(stream));
        ASSERT_TRUE(scene.network->disconnect("web").ok());
        EXPECT_FALSE(stream.to_server(portion));
        // Whoever has the address and the port next is not disturbed by it.
        EndpointRequest again{
            .id = "next", .container_name = {}, .ports = {tcp(8080, 80)}, .ip = scene.web.ip};
        const Endpoint next = connect(*scene.network, std::move(again));
        const Listener listener(next.netns, 80);
        Stream other(scene.outside, "10.99.0.1", 8080, listener, 5001);
        EXPECT_TRUE(comes_to_the_short_way(other));
    });
}

TEST(FlowShortcut, GoesOnTheOrdinaryWayWithoutAnEngine) {
    in_new_network([] {
        Scene scene;
        Stream stream = scene.visit();
        ASSERT_TRUE(comes_to_the_short_way(stream));
        scene.network.reset();
        scene.driver.reset();
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
    });
}

TEST(FlowShortcut, LetsRulesOfOthersSeeEachPacket) {
    in_new_network([] {
        const Scene scene;
        for (const char* chain :
             {"inet x forward { type filter hook forward priority 0; }",
              "ip x raw { type filter hook prerouting priority -300; }",
              "inet x last { type filter hook postrouting priority 0; }",
              "bridge x frames { type filter hook forward priority 0; }"}) {
            Stream stream = scene.visit();
            ASSERT_TRUE(comes_to_the_short_way(stream)) << chain;
            const std::string text = chain;
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
             "add table ip x; add chain ip x nat { type nat hook postrouting priority 0; }; "
             "add rule ip x nat counter"});
        Stream stream = scene.visit();
        EXPECT_TRUE(comes_to_the_short_way(stream));
    });
}

TEST(FlowShortcut, HeedsWhatChangesOnTheHost) {
    in_new_network([] {
        const Scene scene;
        Stream stream = scene.visit();
        ASSERT_TRUE(comes_to_the_short_way(stream));
        // A policer on the interface to the outside.
        output_of({"tc", "qdisc", "add", "dev", "wan0", "ingress"});
        EXPECT_TRUE(comes_to([&] { return !goes_the_short_way(stream); }));
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
        output_of({"tc", "qdisc", "delete", "dev", "wan0", "ingress"});
        EXPECT_TRUE(comes_to_the_short_way(stream));
        // A container that takes less than it did: who sends is told.
        output_of({"ip", "link", "set", scene.web.host_interface, "mtu", "900"});
        inside(scene.web, {"ip", "link", "set", "eth0", "mtu", "900"});
        output_of({"ip", "link", "set", "test0", "mtu", "900"});
        EXPECT_TRUE(
            comes_to([&] { return stream.to_server(portion) && stream.segment_size() <= 860; }));
        EXPECT_TRUE(comes_to_the_short_way(stream));
        // No way to the world any more.
        output_of({"ip", "route", "add", "blackhole", "10.99.0.2"});
        EXPECT_TRUE(comes_to([&] { return !stream.to_client(portion); }));
    });
}

TEST(FlowShortcut, LeavesWhoeverShallNotTakeIt) {
    in_new_network([] {
        const Scene scene([](BridgeOptions& options) { options.shortcut = false; });
        Stream stream = scene.visit();
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
    });
    in_new_network([] {
        const Scene limited({}, {.egress = 2'000'000'000, .ingress = 2'000'000'000});
        Stream stream = limited.visit();
        EXPECT_TRUE(stays_on_the_ordinary_way(stream));
    });
}

} // namespace
} // namespace berth::network
