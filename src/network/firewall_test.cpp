// SPDX-License-Identifier: Apache-2.0
// The firewall over bridges and containers that the test wires by hand, for both families, with
// real traffic and forged frames.
#include "base/file.h"
#include "kernel/netlink_test_support.h"
#include "network/firewall.h"
#include "network/firewall_test_support.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <netinet/in.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;
using testing::Not;

TEST(Firewall, PublishesForBothFamiliesAndKeepsSources) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        const Endpoint web = lab.add_container(1, 2);
        const Endpoint neighbor = lab.add_container(1, 3);
        lab.publish(8080, 80, 1, 2);
        for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
            const EchoServer server(web.netns, protocol, 80);
            EXPECT_EQ(ask(lab.outside, protocol, host_v4, 8080), outside_v4);
            EXPECT_EQ(ask(lab.outside, protocol, host_v6, 8080), outside_v6);
            EXPECT_EQ(ask(here, protocol, host_v6, 8080), host_v6);
            EXPECT_EQ(ask(here, protocol, "127.0.0.1", 8080), "172.17.0.1");
            // Hairpin: through the host's address to its own network, and to itself.
            EXPECT_EQ(ask(neighbor.netns, protocol, host_v6, 8080), "fd00:1::1");
            EXPECT_EQ(ask(web.netns, protocol, host_v6, 8080), "fd00:1::1");
            EXPECT_EQ(ask(web.netns, protocol, host_v4, 8080), "172.17.0.1");
        }
    });
}

TEST(Firewall, PublishesAtLocalhostOfBothFamilies) {
    in_new_network([] {
        const std::string on_bridges = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
        const bool has_switch = exists(on_bridges);
        if (has_switch) {
            ASSERT_TRUE(write_existing(on_bridges, "0").ok());
        }
        FirewallLab lab;
        lab.add_bridge(1, {});
        const Endpoint web = lab.add_container(1, 2);
        lab.publish(8080, 80, 1, 2);
        for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
            const EchoServer server(web.netns, protocol, 80);
            EXPECT_EQ(ask(here, protocol, "127.0.0.1", 8080), "172.17.0.1");
            EXPECT_EQ(ask(here, protocol, "::1", 8080), "fd00:1::1");
        }
        // The host's own servers at ::1 are what they were.
        const EchoServer own(here, Protocol::Tcp, 7777);
        EXPECT_EQ(ask(here, Protocol::Tcp, "::1", 7777), "::1");
        if (has_switch) {
            // Where there is no way, a client learns it at once.
            ASSERT_TRUE(write_existing(on_bridges, "1").ok());
            ASSERT_TRUE(lab.firewall.rebuild().ok());
            EXPECT_EQ(ask(here, Protocol::Tcp, "::1", 8080), "refused");
            EXPECT_EQ(ask(here, Protocol::Tcp, "::1", 7777), "::1");
        }
    });
}

TEST(Firewall, MasqueradesWhatGoesOutUnlessTheNetworkIsRouted) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        lab.add_bridge(2, {.mode_v6 = FirewallMode::Routed});
        lab.add_bridge(3, {.source_v4 = *IpAddress::parse("10.99.0.77")});
        output_of({"ip", "address", "add", "10.99.0.77/24", "dev", "wan0"});
        const Endpoint one = lab.add_container(1, 2);
        const Endpoint two = lab.add_container(2, 2);
        const Endpoint three = lab.add_container(3, 2);
        const EchoServer server(lab.outside, Protocol::Tcp, 80);
        EXPECT_EQ(ask(one.netns, Protocol::Tcp, outside_v4, 80), host_v4);
        EXPECT_EQ(ask(one.netns, Protocol::Tcp, outside_v6, 80), host_v6);
        EXPECT_EQ(ask(two.netns, Protocol::Tcp, outside_v4, 80), host_v4);
        EXPECT_EQ(ask(two.netns, Protocol::Tcp, outside_v6, 80), "fd00:2::2");
        EXPECT_EQ(ask(three.netns, Protocol::Tcp, outside_v4, 80), "10.99.0.77");
    });
}

TEST(Firewall, LetsNobodyInDirectlyUnlessTheGatewayModeSaysSo) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        lab.add_bridge(
            2, {.mode_v4 = FirewallMode::NatUnprotected, .mode_v6 = FirewallMode::Routed});
        const Endpoint one = lab.add_container(1, 2);
        lab.add_bridge(3, {.mode_v4 = FirewallMode::Routed});
        const Endpoint two = lab.add_container(2, 2);
        const Endpoint three = lab.add_container(3, 2);
        lab.publish(8080, 80, 1, 2);
        lab.publish_routed(80, 2, 2);
        const EchoServer first(one.netns, Protocol::Tcp, 80);
        const EchoServer second(two.netns, Protocol::Tcp, 80);
        const EchoServer hidden(two.netns, Protocol::Tcp, 81);
        // Published or not: only through the host's port.
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "fd00:1::2", 80), "timeout");
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.18.0.2", 81), outside_v4);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "fd00:2::2", 80), outside_v6);
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "fd00:2::2", 81), "timeout");
        // A routed container answers pings, another one does not.
        const std::vector<std::uint8_t> echo{8, 0, 0xf7, 0xfd, 0, 1, 0, 1};
        const auto ping = [&](const Endpoint& to, const std::string& address) {
            return send_raw(lab.outside, to.netns, IPPROTO_ICMP, address, echo).size();
        };
        EXPECT_EQ(ping(three, "172.19.0.2"), 28U);
        EXPECT_EQ(ping(one, "172.17.0.2"), 0U);
        // Unprotected means the world outside, not the other networks.
        EXPECT_EQ(ask_in_vain(one.netns, Protocol::Tcp, "172.18.0.2", 81), "timeout");
    });
}

TEST(Firewall, KeepsNetworksApartForBothFamilies) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        lab.add_bridge(2, {});
        lab.add_bridge(3, {.internal = true});
        const Endpoint one = lab.add_container(1, 2);
        const Endpoint two = lab.add_container(2, 2);
        const Endpoint hidden = lab.add_container(3, 2);
        lab.publish(8080, 80, 2, 2);
        const EchoServer server(two.netns, Protocol::Tcp, 80);
        const EchoServer internal(hidden.netns, Protocol::Tcp, 80);
        const EchoServer host(here, Protocol::Tcp, 7777);
        const EchoServer world(lab.outside, Protocol::Tcp, 80);
        for (const char* address : {"172.18.0.2", "fd00:2::2", "172.19.0.2", "fd00:3::2"}) {
            EXPECT_EQ(ask_in_vain(one.netns, Protocol::Tcp, address, 80), "timeout") << address;
        }
        // A published port is everybody's, but for those without a way out.
        EXPECT_EQ(ask(one.netns, Protocol::Tcp, "fd00:1::1", 8080), "fd00:2::1");
        EXPECT_EQ(ask_in_vain(hidden.netns, Protocol::Tcp, "fd00:3::1", 8080), "timeout");
        EXPECT_EQ(ask_in_vain(hidden.netns, Protocol::Tcp, outside_v4, 80), "timeout");
        EXPECT_EQ(ask_in_vain(hidden.netns, Protocol::Tcp, outside_v6, 80), "timeout");
        // The host answers an internal network at the network's own gateway only.
        EXPECT_EQ(ask(hidden.netns, Protocol::Tcp, "172.19.0.1", 7777), "172.19.0.2");
        EXPECT_EQ(ask(hidden.netns, Protocol::Tcp, "fd00:3::1", 7777), "fd00:3::2");
        EXPECT_EQ(ask_in_vain(hidden.netns, Protocol::Tcp, host_v4, 7777), "timeout");
        EXPECT_EQ(ask_in_vain(hidden.netns, Protocol::Tcp, "fd00:1::1", 7777), "timeout");
        // Nor does what others translate come into it.
        output_of({"nft", "add table ip other"});
        output_of({"nft", "add chain ip other in { type nat hook prerouting priority -110; }"});
        for (const char* network : {"18", "19"}) {
            const std::string to = std::string("tcp dport 99") + network + " dnat to 172.";
            output_of({"nft", "add rule ip other in " + to + network + ".0.2:80"});
        }
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 9918), outside_v4);
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, host_v4, 9919), "timeout");
    });
}

TEST(Firewall, OpensANetworkToTrustedInterfacesOnly) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {.trusted_interfaces = {"wan0"}});
        lab.add_bridge(2, {.trusted_interfaces = {"wan7"}});
        const Endpoint one = lab.add_container(1, 2);
        const Endpoint two = lab.add_container(2, 2);
        const EchoServer first(one.netns, Protocol::Tcp, 80);
        const EchoServer second(two.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.17.0.2", 80), outside_v4);
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.18.0.2", 80), "timeout");
    });
}

// Also to an internal one, and to what is a network of containers itself.
TEST(Firewall, OpensNetworksOfEachKindToTrustedInterfaces) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {.internal = true, .trusted_interfaces = {"wan0"}});
        lab.add_bridge(2, {.trusted_interfaces = {"br3"}});
        lab.add_bridge(3, {.internal = true});
        const Endpoint hidden = lab.add_container(1, 2);
        const Endpoint two = lab.add_container(2, 2);
        const Endpoint three = lab.add_container(3, 2);
        const EchoServer first(hidden.netns, Protocol::Tcp, 80);
        const EchoServer second(two.netns, Protocol::Tcp, 80);
        const EchoServer third(three.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.17.0.2", 80), outside_v4);
        EXPECT_EQ(ask_in_vain(three.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        EXPECT_NE(ask(three.netns, Protocol::Tcp, "172.18.0.2", 80), "timeout");
        EXPECT_EQ(ask_in_vain(two.netns, Protocol::Tcp, "172.19.0.2", 80), "timeout");
    });
}

TEST(Firewall, TakesPortsAndBridgesBack) {
    in_new_network([] {
        FirewallLab lab;
        const std::string before = output_of({"nft", "list", "ruleset"});
        lab.add_bridge(1, {.mode_v6 = FirewallMode::Routed});
        const Endpoint web = lab.add_container(1, 2);
        lab.publish(8080, 80, 1, 2);
        lab.publish_routed(80, 1, 2);
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), outside_v4);
        lab.withdraw(8080, 80, 1, 2);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), "refused");
        lab.withdraw_routed(80, 1, 2);
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "fd00:1::2", 80), "timeout");
        ASSERT_TRUE(lab.firewall.remove_endpoint("vc1-2").ok());
        ASSERT_TRUE(lab.firewall.remove_bridge("br1").ok());
        // Element by element, the tables are as they were: nothing is left to grow.
        EXPECT_EQ(output_of({"nft", "list", "ruleset"}), before);
    });
}

TEST(Firewall, TranslatesSctpWhetherTheKernelSpeaksItOrNot) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        const Endpoint web = lab.add_container(1, 2);
        const BoundPort port{Protocol::Sctp, 80, *IpAddress::parse("0.0.0.0"), 8080};
        ASSERT_TRUE(lab.firewall.add_ports({port}, *IpAddress::parse("172.17.0.2")).ok());
        // An INIT from port 5000 to 8080: chunk 1, with initiate tag, window, streams, sequence.
        const std::vector<std::uint8_t> init{0x13, 0x88, 0x1f, 0x90, 0,  0, 0, 0, 0, 0, 0,
                                             0,    1,    0,    0,    20, 0, 0, 0, 1, 0, 0,
                                             5,    0xdc, 0,    1,    0,  1, 0, 0, 0, 1};
        const std::vector<std::uint8_t> received =
            send_raw(lab.outside, web.netns, IPPROTO_SCTP, host_v4, with_sctp_checksum(init));
        ASSERT_GE(received.size(), 24U);
        EXPECT_EQ(received[22] << 8 | received[23], 80); // behind 20 bytes of IP, the source port
    });
}

TEST(Firewall, DropsForgedSourcesOfEachKind) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        const Endpoint victim = lab.add_container(1, 2);
        const Endpoint attacker = lab.add_container(1, 3);
        const Frames own(lab.mac(1, 3), "172.17.0.3", "fd00:1::3");
        const Frames forged(lab.mac(1, 3), "172.17.0.1", "fd00:1::1");
        const auto arrives = [&](const std::vector<std::uint8_t>& frame) {
            return lab.arrives(attacker, victim, frame);
        };
        EXPECT_TRUE(arrives(own.arp()));
        EXPECT_FALSE(arrives(forged.arp()));           // "I am the gateway"
        EXPECT_FALSE(arrives(own.arp(lab.mac(1, 2)))); // another's MAC in it
        EXPECT_TRUE(arrives(own.ipv4()));
        EXPECT_FALSE(arrives(forged.ipv4()));
        EXPECT_TRUE(arrives(own.ipv6()));
        EXPECT_FALSE(arrives(forged.ipv6()));
        EXPECT_TRUE(arrives(own.neighbor_advertisement("fd00:1::3")));
        EXPECT_FALSE(arrives(own.neighbor_advertisement("fd00:1::1")));
        EXPECT_FALSE(arrives(own.router_message(134))); // advertisement
        EXPECT_FALSE(arrives(own.router_message(137))); // redirect
        EXPECT_TRUE(arrives(own.duplicate_detection("fd00:1::3")));
        EXPECT_FALSE(arrives(own.duplicate_detection("fd00:1::2")));
        // From a MAC that is not its own, and what is no IP at all.
        EXPECT_FALSE(arrives(Frames(lab.mac(1, 2), "172.17.0.3", "fd00:1::3").ipv4()));
        EXPECT_FALSE(arrives(own.with_type(0x88cc)));
    });
}

TEST(Firewall, LeavesTheSourcesOfARouterAlone) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        const Endpoint victim = lab.add_container(1, 2);
        const Endpoint router = lab.add_container(1, 3, {.any_source = true});
        EXPECT_TRUE(
            lab.arrives(router, victim, Frames(lab.mac(1, 3), "192.0.2.1", "2001:db8::1").ipv4()));
    });
}

TEST(Firewall, BoundsWhatAFloodOfAContainerCosts) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        const Endpoint attacker = lab.add_container(1, 2);
        const Endpoint victim = lab.add_container(1, 3);
        lab.publish(8080, 80, 1, 3);
        const EchoServer server(victim.netns, Protocol::Tcp, 80);
        const EchoServer world(lab.outside, Protocol::Tcp, 80);
        // Each datagram to another address of the network, by way of the host, which would ask for
        // every one of them; and answers to questions that nobody asked.
        inside(attacker, {"ip", "route", "add", "172.17.64.0/18", "via", "172.17.0.1"});
        EXPECT_GT(lab.flood(attacker, "172.17.64.0", 4000, 1), 3000);
        std::vector<std::vector<std::uint8_t>> claims;
        for (int i = 0; i < 2000; ++i) {
            const std::string someone = "172.17.100." + std::to_string(i % 250);
            claims.push_back(Frames(lab.mac(1, 2), someone, "fd00:1::2").arp());
        }
        lab.send_frames(attacker, claims);
        const std::string neighbors = output_of({"ip", "neigh"});
        EXPECT_LT(std::count(neighbors.begin(), neighbors.end(), '\n'), 10) << neighbors;
        // Connection tracking: a great many flows, to the world outside.
        EXPECT_GT(lab.flood(attacker, outside_v4, 1, 30000), 20000);
        EXPECT_EQ(ask(victim.netns, Protocol::Tcp, outside_v4, 80), host_v4);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), outside_v4);
    });
}

} // namespace
} // namespace berth::network
