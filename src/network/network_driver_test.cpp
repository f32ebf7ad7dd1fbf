// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_test_support.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;
using testing::Not;

TEST(NetworkDriver, RestoresNetworksEndpointsAndPorts) {
    in_new_network([] {
        NetworkRecord record{.options = bridge_options("test0", "172.17.0.0/16"), .endpoints = {}};
        Endpoint web;
        Endpoint forgotten;
        {
            const auto driver = start_driver();
            const auto network = create(*driver, record.options);
            EndpointRequest request{.id = "web", .container_name = "web", .ports = {tcp(8080, 80)}};
            request.link_local = {*IpAddress::parse("169.254.5.5")};
            web = connect(*network, request);
            forgotten = connect(*network, "forgotten", {tcp(8081, 80)});
        }
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        // The daemon is gone, the container's port is not.
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        record.endpoints = {
            {.id = "web",
             .container_name = "web",
             .ip = web.ip,
             .mac = web.mac,
             .host_interface = web.host_interface,
             .ports = web.ports,
             .link_local = {*IpAddress::parse("169.254.5.5")}}};
        NetworkDriver::Options options;
        options.networks = {record};
        const auto driver = start_driver(std::move(options));
        const auto network = driver->find("test0");
        ASSERT_TRUE(network);
        EXPECT_THAT(
            output_of({"nft", "list", "set", "bridge", "berth", "sources4"}),
            HasSubstr("169.254.5.5"));
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8081), "refused");
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr(forgotten.host_interface)));
        EXPECT_EQ(connect(*network, "next").ip.to_string(), "172.17.0.3");
        const Result<Endpoint> taken =
            network->connect({.id = "x", .container_name = "x", .ports = {tcp(8080, 80)}});
        ASSERT_FALSE(taken.ok());
        EXPECT_THAT(taken.error().message(), HasSubstr("port is already allocated"));
        ASSERT_TRUE(network->disconnect("web").ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "refused");
    });
}

TEST(NetworkDriver, WritesItsRulesAgainWhenSomebodyFlushedThem) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.shortcut = false; // it leads past the rules in question
        const auto network = create(*driver, options);
        const Endpoint web = connect(*network, "web", {tcp(8080, 80)});
        output_of({"nft", "flush", "ruleset"});
        const Endpoint more = connect(*network, "more", {tcp(8081, 80)});
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
    });
}

TEST(NetworkDriver, LivesBesideAnotherEngine) {
    in_new_network([] {
        const auto one = start_driver({.table = "one", .networks = {}});
        const auto two = start_driver({.table = "two", .networks = {}});
        const auto network_one = create(*one, bridge_options("one0", "172.17.0.0/16"));
        const auto network_two = create(*two, bridge_options("two0", "172.18.0.0/16"));
        const Endpoint a = connect(*network_one, "e", {tcp(8080, 80)});
        const Endpoint b = connect(*network_two, "e", {tcp(8081, 80)});
        const EchoServer server_a(a.netns, Protocol::Tcp, 80);
        const EchoServer server_b(b.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8081), "172.18.0.1");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.18.0.2", 80), "timeout");
        ASSERT_TRUE(one->remove_all().ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8081), "172.18.0.1");
    });
}

TEST(NetworkDriver, RefusesTheTableAndTheBridgeOfAnotherEngine) {
    in_new_network([] {
        const auto one = start_driver();
        const auto network = create_default(*one);
        const Result<std::unique_ptr<NetworkDriver>> same_table = NetworkDriver::start({});
        ASSERT_FALSE(same_table.ok());
        EXPECT_EQ(same_table.error().kind(), ErrorKind::Conflict);
        const auto two = start_driver({.table = "two", .networks = {}});
        const auto same_bridge = two->create(bridge_options("test0", "172.18.0.0/16"));
        ASSERT_FALSE(same_bridge.ok());
        EXPECT_EQ(
            same_bridge.error().message(),
            "bridge test0 belongs to another engine that runs on this host");
    });
}

TEST(NetworkDriver, LeavesNothingWhenAllIsRemoved) {
    in_new_network([] {
        const std::string before = output_of({"ip", "link"});
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.pool_size = 2;
        const auto network = create(*driver, options);
        const Endpoint web = connect(*network, "web", {tcp(8080, 80)});
        EXPECT_TRUE(network->wait_until_pool_is_full(std::chrono::seconds(10)));
        ASSERT_TRUE(driver->remove_all().ok());
        EXPECT_EQ(output_of({"nft", "list", "ruleset"}), "");
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("test0")));
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr(web.host_interface)));
    });
}

TEST(NetworkDriver, RefusesToRemoveANetworkInUseAndRemovesAnEmptyOne) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        EXPECT_FALSE(driver->remove("test0").ok());
        ASSERT_TRUE(network->disconnect("a").ok());
        EXPECT_TRUE(driver->remove("test0").ok());
        EXPECT_EQ(driver->find("test0"), nullptr);
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("test0")));
    });
}

TEST(NetworkDriver, RefusesSubnetsThatOverlapAndPicksFreeOnes) {
    in_new_network([] {
        const auto driver = start_driver();
        EXPECT_EQ(driver->pick_subnet()->to_string(), "172.17.0.0/16");
        const auto network = create_default(*driver);
        EXPECT_FALSE(driver->create(bridge_options("test1", "172.17.4.0/24")).ok());
        output_of({"ip", "link", "add", "dummy0", "type", "bridge"});
        output_of({"ip", "address", "add", "172.18.5.1/24", "dev", "dummy0"});
        output_of({"ip", "link", "set", "dummy0", "up"});
        EXPECT_EQ(driver->pick_subnet()->to_string(), "172.19.0.0/16");
    });
}

TEST(NetworkDriver, TakesTheMtuOfTheWayOut) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        output_of({"ip", "link", "set", "wan0", "mtu", "1234"});
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        EXPECT_EQ(network->mtu(), 1234U);
        const Endpoint a = connect(*network, "a");
        EXPECT_THAT(inside(a, {"ip", "link", "show", "eth0"}), HasSubstr("mtu 1234"));
    });
}

TEST(NetworkDriver, MakesNamespacesWithNothingButLoopback) {
    in_new_network([] {
        const auto driver = start_driver();
        Endpoint none;
        Result<UniqueFd> netns = driver->create_isolated_namespace();
        ASSERT_TRUE(netns.ok());
        none.netns = std::move(netns).value();
        const std::string links = inside(none, {"ip", "-o", "link"});
        EXPECT_THAT(links, HasSubstr("lo: <LOOPBACK,UP,LOWER_UP>"));
        EXPECT_THAT(links, Not(HasSubstr("eth0")));
    });
}

TEST(NetworkDriver, NamesForeignChainsThatDrop) {
    in_new_network([] {
        const auto driver = start_driver();
        EXPECT_TRUE(driver->foreign_obstacles()->empty());
        output_of(
            {"nft",
             "add table ip host; add chain ip host FORWARD { type filter hook forward "
             "priority 0; policy drop; }"});
        ASSERT_EQ(driver->foreign_obstacles()->size(), 1U);
        EXPECT_THAT(driver->foreign_obstacles()->at(0), HasSubstr("chain FORWARD"));
    });
}

} // namespace
} // namespace berth::network
