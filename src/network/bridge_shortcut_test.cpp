// SPDX-License-Identifier: Apache-2.0
// What goes the short way, what must not, and that nothing is let through which the bridge drops.
#include "base/file.h"
#include "kernel/netlink_test_support.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <net/if.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;

constexpr int questions = 60;

// Whether the answers to many questions came, and how many packets went over the bridge for them.
int packets_for_questions(
    const Endpoint& from, const Endpoint& to, Protocol protocol, const std::string& address) {
    const EchoServer server(to.netns, protocol, 80);
    EXPECT_NE(ask(from.netns, protocol, address, 80), "timeout"); // with the search for its MAC
    const int before = over_the_bridge(to);
    const std::string own = from.ip.is_unspecified() || !IpAddress::parse(address)->is_v4()
                                ? from.ip_v6->to_string()
                                : from.ip.to_string();
    for (int i = 0; i < questions; ++i) {
        EXPECT_EQ(ask(from.netns, protocol, address, 80), own);
    }
    return over_the_bridge(to) - before;
}

bool goes_the_short_way(const Endpoint& from, const Endpoint& to) {
    return packets_for_questions(from, to, Protocol::Tcp, to.ip.to_string()) < questions;
}

TEST(BridgeShortcut, PassesTheBridgeByBothWaysAndInBothFamilies) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.subnet_v6 = *IpPrefix::parse("fd00:5::/64");
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
            for (const std::string& address : {b.ip.to_string(), b.ip_v6->to_string()}) {
                EXPECT_LT(packets_for_questions(a, b, protocol, address), questions) << address;
            }
        }
        EXPECT_TRUE(goes_the_short_way(b, a));
        EXPECT_TRUE(reaches(a, "172.17.0.3")); // ICMP, over the bridge
    });
}

TEST(BridgeShortcut, IsLeftAloneWhereTheBridgeMustSeeTheFrames) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.shortcut = false;
        const auto refused = create(*driver, options);
        const Endpoint a = connect(*refused, "a");
        const Endpoint b = connect(*refused, "b");
        EXPECT_FALSE(goes_the_short_way(a, b));

        const auto network = create(*driver, bridge_options("test1", "172.18.0.0/16"));
        const Endpoint c = connect(*network, "c");
        const Endpoint limited = connect(*network, {.id = "d", .rates = {.ingress = 1U << 24}});
        EXPECT_FALSE(goes_the_short_way(c, limited));
        EXPECT_FALSE(goes_the_short_way(limited, c));
    });
}

bool comes_true(const std::function<bool()>& condition) {
    constexpr auto patience = std::chrono::seconds(10);
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
    }
    return true;
}

// The rule stops a while after it has come, and lets through a while after it has gone.
void expect_heeded(
    const Endpoint& from, const Endpoint& to, const std::string& family, const std::string& rule) {
    const EchoServer server(to.netns, Protocol::Tcp, 80);
    const std::string address = to.ip.to_string();
    const auto stopped = [&] {
        return ask_in_vain(from.netns, Protocol::Tcp, address, 80) == "timeout";
    };
    const auto passes_the_bridge = [&] {
        const int before = over_the_bridge(to);
        const std::string seen = ask(from.netns, Protocol::Tcp, address, 80);
        return seen == from.ip.to_string() && over_the_bridge(to) == before;
    };
    output_of({"nft", "add table " + family + " other"});
    output_of(
        {"nft", "add chain " + family + " other forward { type filter hook forward priority 0; }"});
    // A stray packet, as of IPv6 groups, may be counted once.
    EXPECT_TRUE(comes_true(passes_the_bridge)) << "a chain without rules judges nothing";
    output_of({"nft", "add rule " + family + " other forward " + rule});
    EXPECT_TRUE(comes_true(stopped));
    output_of({"nft", "delete table " + family + " other"});
    EXPECT_TRUE(comes_true(passes_the_bridge));
}

TEST(BridgeShortcut, IsClosedWhileRulesOfOthersJudgeBridgedFrames) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        ASSERT_TRUE(goes_the_short_way(a, b));
        const std::string rule = "ip daddr 172.17.0.3 tcp dport 80 drop";
        expect_heeded(a, b, "bridge", rule);
        const auto filtered = read_file("/proc/sys/net/bridge/bridge-nf-call-iptables", 16);
        if (filtered.ok() && filtered->starts_with("1")) {
            expect_heeded(a, b, "inet", rule);
        }
    });
}

TEST(BridgeShortcut, CarriesNoForgedSources) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        ASSERT_TRUE(goes_the_short_way(b, a));
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        inside(b, {"ip", "address", "delete", "172.17.0.3/16", "dev", "eth0"});
        inside(b, {"ip", "address", "add", "172.17.0.77/16", "dev", "eth0"});
        EXPECT_EQ(ask_in_vain(b.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        inside(b, {"ip", "address", "delete", "172.17.0.77/16", "dev", "eth0"});
        inside(b, {"ip", "address", "add", "172.17.0.3/16", "dev", "eth0"});
        EXPECT_EQ(ask(b.netns, Protocol::Tcp, "172.17.0.2", 80), "172.17.0.3");
        inside(b, {"ip", "link", "set", "eth0", "address", "02:42:ac:11:00:99"});
        EXPECT_EQ(ask_in_vain(b.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
    });
}

// The MAC, which the bridge would not let it ask for.
void tell(const Endpoint& endpoint, const Endpoint& other) {
    inside(
        endpoint,
        {"ip",
         "neighbor",
         "replace",
         other.ip.to_string(),
         "lladdr",
         other.mac.to_string(),
         "dev",
         "eth0"});
}

// What is noted of the last frame holds for frames like it alone.
TEST(BridgeShortcut, NotesOfOneFrameLeadNoOther) {
    in_new_network([] {
        stay_on_one_processor();
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.subnet_v6 = *IpPrefix::parse("fd00:5::/64");
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const Endpoint c = connect(*network, "c");
        const EchoServer server_b(b.netns, Protocol::Tcp, 80);
        const EchoServer server_c(c.netns, Protocol::Tcp, 80);
        const EchoServer datagrams_c(c.netns, Protocol::Udp, 80);
        const std::string own = a.ip.to_string();
        const std::string own_v6 = a.ip_v6->to_string();
        for (int i = 0; i < questions; ++i) {
            EXPECT_EQ(ask(a.netns, Protocol::Tcp, b.ip.to_string(), 80), own);
            EXPECT_EQ(ask(a.netns, Protocol::Tcp, c.ip.to_string(), 80), own);
            EXPECT_EQ(ask(a.netns, Protocol::Udp, c.ip.to_string(), 80), own);
            EXPECT_EQ(ask(a.netns, Protocol::Tcp, b.ip_v6->to_string(), 80), own_v6);
            EXPECT_EQ(ask(a.netns, Protocol::Tcp, c.ip_v6->to_string(), 80), own_v6);
        }
        constexpr int pings = 10;
        int over = 0;
        for (int i = 0; i < pings; ++i) {
            EXPECT_EQ(ask(a.netns, Protocol::Udp, c.ip.to_string(), 80), own);
            const int before = over_the_bridge(c);
            EXPECT_TRUE(reaches(a, c.ip.to_string()));
            over += over_the_bridge(c) - before;
        }
        EXPECT_GE(over, pings) << "ICMP between the same two";
    });
}

unsigned index_of(const Endpoint& endpoint) {
    return ::if_nametoindex(endpoint.host_interface.c_str());
}

// Those of IPv4 that were handed to a socket.
int datagrams_to(const Endpoint& endpoint) {
    const std::string shown = inside(endpoint, {"cat", "/proc/net/snmp"});
    std::istringstream numbers(shown.substr(shown.rfind("\nUdp: ") + 6));
    int count = -1;
    numbers >> count;
    return count;
}

// So that the next frames of this kind are compared with what is noted.
void let_it_be_noted(const Endpoint& from, const Endpoint& to) {
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(ask(from.netns, Protocol::Udp, to.ip.to_string(), 80), from.ip.to_string());
    }
}

void expect_nothing_comes(const Endpoint& from, const Endpoint& to) {
    const int before = datagrams_to(to);
    EXPECT_EQ(ask_in_vain(from.netns, Protocol::Udp, to.ip.to_string(), 80), "timeout");
    EXPECT_EQ(datagrams_to(to), before);
}

// And knows the other's MAC all the same, which goes with the last address.
void take_address(const Endpoint& endpoint, const std::string& address, const Endpoint& other) {
    inside(endpoint, {"ip", "address", "flush", "dev", "eth0"});
    inside(endpoint, {"ip", "address", "add", address + "/16", "dev", "eth0"});
    tell(endpoint, other);
}

TEST(BridgeShortcut, NotesLetNoForgedSourcesPass) {
    in_new_network([] {
        stay_on_one_processor();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const EchoServer server(b.netns, Protocol::Udp, 80);
        let_it_be_noted(a, b);
        take_address(a, "172.17.0.77", b);
        expect_nothing_comes(a, b);
        take_address(a, a.ip.to_string(), b);
        let_it_be_noted(a, b);
        inside(a, {"ip", "link", "set", "eth0", "address", "02:42:ac:11:00:99"});
        tell(a, b);
        expect_nothing_comes(a, b);
    });
}

TEST(BridgeShortcut, WhoIsNotedAsNobodyIsFoundOnceThere) {
    in_new_network([] {
        stay_on_one_processor();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        EndpointRequest request{.id = "b", .ip = *IpAddress::parse("172.17.0.9")};
        {
            const Endpoint b = connect(*network, request);
            request.mac = b.mac;
            tell(a, b);
            ASSERT_TRUE(network->disconnect("b").ok());
            EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.9", 80), "timeout");
        }
        const Endpoint b = connect(*network, request);
        EXPECT_TRUE(goes_the_short_way(a, b));
    });
}

TEST(BridgeShortcut, NotesOfOneInterfaceAreNoOthers) {
    constexpr unsigned noted_interfaces = 64; // whose numbers differ in their last bits
    in_new_network([] {
        stay_on_one_processor();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const EchoServer server(b.netns, Protocol::Udp, 80);
        Endpoint forger = connect(*network, "forger0");
        const auto shares_note = [&] {
            return index_of(forger) % noted_interfaces == index_of(a) % noted_interfaces;
        };
        for (unsigned i = 1; i < 2 * noted_interfaces && !shares_note(); ++i) {
            forger = connect(*network, "forger" + std::to_string(i));
        }
        ASSERT_TRUE(shares_note());
        let_it_be_noted(a, b);
        // As the noted frames are, in each address.
        inside(forger, {"ip", "link", "set", "eth0", "address", a.mac.to_string()});
        take_address(forger, a.ip.to_string(), b);
        expect_nothing_comes(forger, b);
    });
}

TEST(BridgeShortcut, LeadsIntoNoOtherNetwork) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto one = create_default(*driver);
        const auto other = create(*driver, bridge_options("test1", "172.18.0.0/16"));
        const Endpoint a = connect(*one, "a");
        const Endpoint b = connect(*other, "b");
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        // Who knows the way and the MAC.
        inside(b, {"ip", "route", "add", "172.17.0.2", "dev", "eth0"});
        tell(b, a);
        inside(a, {"ip", "route", "add", "172.18.0.2", "dev", "eth0"});
        tell(a, b);
        EXPECT_EQ(ask_in_vain(b.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
    });
}

TEST(BridgeShortcut, JoinsNobodyWhereContainersAreKeptApart) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.inter_container = false;
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        tell(b, a);
        tell(a, b);
        EXPECT_EQ(ask_in_vain(b.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
    });
}

TEST(BridgeShortcut, EndsWithTheEndpointAndFindsItsSuccessor) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        {
            const Endpoint b = connect(*network, "b");
            ASSERT_TRUE(goes_the_short_way(a, b));
            ASSERT_TRUE(network->disconnect("b").ok());
            const EchoServer server(b.netns, Protocol::Tcp, 80);
            EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
        }
        EndpointRequest again{.id = "c", .ip = *IpAddress::parse("172.17.0.3")};
        const Endpoint c = connect(*network, std::move(again));
        EXPECT_TRUE(goes_the_short_way(a, c));
    });
}

TEST(BridgeShortcut, IsThereAgainAfterARestart) {
    in_new_network([] {
        NetworkRecord record;
        std::vector<Endpoint> kept;
        {
            const auto driver = start_driver();
            const auto network = create_default(*driver);
            kept.push_back(connect(*network, "a"));
            kept.push_back(connect(*network, "b"));
            record = record_of(*network, kept);
        }
        const Endpoint& a = kept[0];
        const Endpoint& b = kept[1];
        EXPECT_TRUE(goes_the_short_way(a, b)) << "while no engine is there";
        const auto driver = start_driver({.networks = {record}});
        EXPECT_TRUE(goes_the_short_way(a, b));
        const std::string shown =
            output_of({"tc", "filter", "show", "dev", a.host_interface, "ingress"});
        EXPECT_THAT(shown, HasSubstr("berth_shortcut"));
        EXPECT_EQ(shown.find("handle"), shown.rfind("handle")) << "two programs: " << shown;
        // The two know each other and the ones that come.
        const Endpoint c = connect(*driver->find("test0"), "c");
        EXPECT_TRUE(goes_the_short_way(a, c));
        EXPECT_TRUE(goes_the_short_way(c, b));
    });
}

} // namespace
} // namespace berth::network
