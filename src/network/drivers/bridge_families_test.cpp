// SPDX-License-Identifier: Apache-2.0
// Bridge networks where the engine has no rules for IPv6 (--ip6tables=false).
#include "kernel/netlink_test_support.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;
using testing::Not;

constexpr char host_v6[] = "fd99::1";
constexpr char outside_v6[] = "fd99::2";
constexpr char bridge_v6[] = "fd00:17::1";

// A host with a world outside that knows the way to its containers.
struct Lab {
    UniqueFd outside = make_outside_world();
    std::unique_ptr<NetworkDriver> driver;
    std::shared_ptr<BridgeNetwork> network;

    explicit Lab(NetworkDriver::Options options) {
        output_of({"ip", "address", "add", "fd99::1/64", "dev", "wan0", "nodad"});
        Endpoint far;
        far.netns = outside.duplicate().value();
        inside(far, {"ip", "address", "add", "fd99::2/64", "dev", "wan1", "nodad"});
        inside(far, {"ip", "route", "add", "172.17.0.0/16", "via", "10.99.0.1"});
        inside(far, {"ip", "route", "add", "fd00:17::/64", "via", host_v6});
        driver = start_driver(std::move(options));
        BridgeOptions bridge = bridge_options("test0", "172.17.0.0/16");
        bridge.subnet_v6 = *IpPrefix::parse("fd00:17::/64");
        network = create(*driver, bridge);
    }
};

PortRequest everywhere(Protocol protocol, std::uint16_t host, std::uint16_t container) {
    return {
        .protocol = protocol,
        .container_port = container,
        .host_ip = {},
        .host_port = host,
        .every_family = true};
}

NetworkDriver::Options without_v6_rules() {
    return {.firewall = {.families = FirewallFamilies::V4Alone}};
}

TEST(BridgeFamilies, WithoutRulesForIpv6RelayItsPorts) {
    in_new_network([] {
        Lab lab(without_v6_rules());
        const Endpoint web = connect(
            *lab.network,
            "web",
            {everywhere(Protocol::Tcp, 8080, 80), everywhere(Protocol::Udp, 5353, 53)});
        ASSERT_EQ(web.ports.size(), 4U);
        const EchoServer tcp_server(web.netns, Protocol::Tcp, 80);
        const EchoServer udp_server(web.netns, Protocol::Udp, 53);
        // By the engine: the container sees the bridge's address.
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8080), bridge_v6);
        EXPECT_EQ(ask(lab.outside, Protocol::Udp, host_v6, 5353), bridge_v6);
        EXPECT_EQ(ask(here, Protocol::Tcp, "::1", 8080), bridge_v6);
        // By the firewall as ever.
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
        EXPECT_EQ(ask(lab.outside, Protocol::Udp, "10.99.0.1", 5353), "10.99.0.2");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        ASSERT_TRUE(lab.network->disconnect("web").ok());
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8080), "refused");
    });
}

TEST(BridgeFamilies, WithoutRulesForIpv6NeitherFilterNorTranslateIt) {
    in_new_network([] {
        Lab lab(without_v6_rules());
        const Endpoint a = connect(*lab.network, "a");
        BridgeOptions second = bridge_options("test1", "172.18.0.0/16");
        second.subnet_v6 = *IpPrefix::parse("fd00:18::/64");
        const auto other_network = create(*lab.driver, second);
        const Endpoint other = connect(*other_network, "other");
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        const EchoServer world(lab.outside, Protocol::Tcp, 80);
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, outside_v6, 80), a.ip_v6->to_string()); // as it is
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, a.ip_v6->to_string(), 80), outside_v6);
        EXPECT_EQ(
            ask(other.netns, Protocol::Tcp, a.ip_v6->to_string(), 80), other.ip_v6->to_string());
        // IPv4 is filtered and masqueraded as ever.
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "10.99.0.2", 80), "10.99.0.1");
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        EXPECT_EQ(ask_in_vain(other.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
    });
}

TEST(BridgeFamilies, WithRulesForIpv6FilterAndTranslateIt) {
    in_new_network([] {
        Lab lab({});
        const Endpoint a = connect(*lab.network, "a", {everywhere(Protocol::Tcp, 8080, 80)});
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        const EchoServer world(lab.outside, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8080), outside_v6);
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, outside_v6, 80), host_v6);
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, a.ip_v6->to_string(), 80), "timeout");
    });
}

TEST(BridgeFamilies, WithoutRulesAndRelayPublishNoIpv6Ports) {
    in_new_network([] {
        NetworkDriver::Options options = without_v6_rules();
        options.relays_ports = false;
        Lab lab(std::move(options));
        const Endpoint web = connect(*lab.network, "web", {everywhere(Protocol::Tcp, 8080, 80)});
        ASSERT_EQ(web.ports.size(), 1U);
        EXPECT_TRUE(web.ports[0].host_ip.is_v4());
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8080), "refused");
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
    });
}

TEST(BridgeFamilies, WithoutRulesForIpv6LeaveOthersChainsForItAlone) {
    in_new_network([] {
        for (const std::string family : {"ip", "ip6"}) {
            output_of(
                {"nft",
                 "add table " + family + " filter; add chain " + family +
                     " filter FORWARD { type filter hook forward priority 0; policy drop; }"});
        }
        const auto rules_of = [](const std::string& family) {
            return output_of({"nft", "list", "chain", family, "filter", "FORWARD"});
        };
        {
            const auto driver = start_driver();
            EXPECT_THAT(rules_of("ip6"), HasSubstr("accept"));
        }
        // And takes away what an engine with rules has put there.
        const auto driver = start_driver(without_v6_rules());
        EXPECT_THAT(rules_of("ip6"), Not(HasSubstr("accept")));
        EXPECT_THAT(rules_of("ip"), HasSubstr("accept"));
    });
}

TEST(BridgeFamilies, RelayedIpv6PortsAreFoundByTheNextEngine) {
    in_new_network([] {
        NetworkDriver::Options options = without_v6_rules();
        Lab lab(without_v6_rules());
        const Endpoint web = connect(*lab.network, "web", {everywhere(Protocol::Tcp, 8080, 80)});
        options.networks.push_back(
            {.options = lab.network->options(),
             .endpoints = {
                 {.id = web.id,
                  .container_name = web.id,
                  .ip = web.ip,
                  .mac = web.mac,
                  .host_interface = web.host_interface,
                  .ports = web.ports,
                  .ip_v6 = web.ip_v6}}});
        lab.network.reset();
        lab.driver.reset();
        const auto driver = start_driver(std::move(options));
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8080), bridge_v6);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
    });
}

} // namespace
} // namespace berth::network
