// SPDX-License-Identifier: Apache-2.0
// What links open in a bridge network that keeps its containers apart.
#include "kernel/netlink_test_support.h"
#include "network/drivers/bridge_ports.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using testing::HasSubstr;

std::shared_ptr<BridgeNetwork> create_without_icc(NetworkDriver& driver) {
    BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
    options.inter_container = false;
    return create(driver, options);
}

const std::vector<std::pair<Protocol, std::uint16_t>> web_port{{Protocol::Tcp, 80}};

TEST(BridgeLinks, OpenTheGivenPortsInOneDirectionOnly) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_without_icc(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const Endpoint c = connect(*network, "c");
        const EchoServer server(b.netns, Protocol::Tcp, 80);
        const EchoServer other_port(b.netns, Protocol::Tcp, 81);
        const EchoServer datagrams(b.netns, Protocol::Udp, 80);
        const EchoServer back(a.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
        ASSERT_TRUE(network->open_to_peer({.from = "a", .to = "b", .ports = web_port}).ok());
        ASSERT_TRUE(network->open_to_peer({.from = "a", .to = "b", .ports = web_port}).ok());
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "172.17.0.3", 80), "172.17.0.2");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.3", 81), "timeout");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Udp, "172.17.0.3", 80), "timeout");
        EXPECT_EQ(ask_in_vain(b.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        EXPECT_EQ(ask_in_vain(c.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
        ASSERT_TRUE(network->close_to_peer("a", "b").ok());
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
    });
}

TEST(BridgeLinks, EndWithTheirEndpointsAndAreNotThoseOfTheNextOne) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_without_icc(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        ASSERT_TRUE(network->open_to_peer({.from = "a", .to = "b", .ports = web_port}).ok());
        ASSERT_TRUE(network->disconnect("b").ok());
        const Endpoint successor = connect(*network, "successor");
        ASSERT_EQ(successor.ip, b.ip);
        const EchoServer server(successor.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
        const Result<void> late =
            network->open_to_peer({.from = "a", .to = "b", .ports = web_port});
        ASSERT_FALSE(late.ok());
        EXPECT_EQ(late.error().kind(), ErrorKind::NotFound);
        // Both directions of the one that goes.
        ASSERT_TRUE(
            network->open_to_peer({.from = "a", .to = "successor", .ports = web_port}).ok());
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "172.17.0.3", 80), "172.17.0.2");
        ASSERT_TRUE(network->disconnect("a").ok());
        const Endpoint heir = connect(*network, "heir");
        ASSERT_EQ(heir.ip, a.ip);
        EXPECT_EQ(ask_in_vain(heir.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
    });
}

TEST(BridgeLinks, AreNothingWhereContainersReachEachOtherAnyway) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        EXPECT_TRUE(network->open_to_peer({.from = "a", .to = "x", .ports = web_port}).ok());
        EXPECT_THAT(
            kernel::output_of({"sysctl", "net.ipv4.conf.test0.proxy_arp_pvlan"}), HasSubstr("= 0"));
    });
}

TEST(BridgeLinks, LeadFromOneOfTheLinkedBridgesToAnother) {
    BridgePorts::set_limit_for_test(1);
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_without_icc(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const Endpoint c = connect(*network, "c");
        const EchoServer server(c.netns, Protocol::Tcp, 80);
        ASSERT_TRUE(network->open_to_peer({.from = "b", .to = "c", .ports = web_port}).ok());
        EXPECT_EQ(ask(b.netns, Protocol::Tcp, "172.17.0.4", 80), "172.17.0.3");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.4", 80), "timeout");
    });
    BridgePorts::set_limit_for_test(900);
}

} // namespace
} // namespace berth::network
