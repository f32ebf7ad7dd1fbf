// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_namespace.h"
#include "kernel/netlink_route.h"
#include "kernel/netlink_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

namespace berth::kernel {
namespace {

using testing::HasSubstr;

RouteSocket open_route_socket() {
    Result<RouteSocket> socket = RouteSocket::open();
    return std::move(socket).value();
}

void execute(RouteSocket& socket, RouteBatch& batch) {
    const Result<void> done = socket.execute(batch);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
}

int index_of(RouteSocket& socket, const std::string& name) {
    const Result<std::optional<Link>> link = socket.find_link(name);
    EXPECT_TRUE(link.ok() && link.value()) << name;
    return link.ok() && link.value() ? link.value()->index : -1;
}

int make_bridge(RouteSocket& socket, const std::string& name) {
    RouteBatch batch;
    batch.add_bridge({.name = name, .mac = *MacAddress::parse("02:42:00:00:00:01"), .mtu = 1400});
    execute(socket, batch);
    return index_of(socket, name);
}

TEST(RouteSocket, CreatesABridgeAsIpSeesIt) {
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        const int index = make_bridge(socket, "test0");
        RouteBatch batch;
        batch.change_link(index, {.state = LinkState::Up});
        batch.add_address(index, *IpPrefix::parse("172.30.0.1/16"));
        batch.add_route(
            {.destination = *IpPrefix::parse("10.9.0.0/24"),
             .gateway = *IpAddress::parse("172.30.0.9")});
        execute(socket, batch);
        const std::string link = output_of({"ip", "-d", "link", "show", "test0"});
        EXPECT_THAT(link, HasSubstr("mtu 1400"));
        EXPECT_THAT(link, HasSubstr("02:42:00:00:00:01"));
        EXPECT_THAT(link, HasSubstr("bridge forward_delay"));
        EXPECT_THAT(link, HasSubstr(",UP"));
        EXPECT_THAT(
            output_of({"ip", "-4", "address", "show", "test0"}),
            HasSubstr("inet 172.30.0.1/16 brd 172.30.255.255"));
        EXPECT_THAT(output_of({"ip", "route"}), HasSubstr("10.9.0.0/24 via 172.30.0.9 dev test0"));
    });
}

TEST(RouteSocket, PutsAVethPeerStraightIntoAnotherNamespace) {
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        const int bridge = make_bridge(socket, "test0");
        Result<NetworkNamespaceScope> scope = NetworkNamespaceScope::enter_new();
        ASSERT_TRUE(scope.ok());
        RouteSocket inside = open_route_socket();
        const UniqueFd netns = scope->take();
        RouteBatch batch;
        batch.add_veth(
            {.name = "near0",
             .peer_name = "eth0",
             .peer_netns = netns,
             .mtu = 1300,
             .master = bridge,
             .peer_mac = *MacAddress::parse("02:42:00:00:00:07")});
        execute(socket, batch);
        const Result<std::optional<Link>> near = socket.find_link("near0");
        ASSERT_TRUE(near.ok() && near.value());
        EXPECT_EQ(near.value()->master, bridge);
        EXPECT_EQ(near.value()->kind, "veth");
        EXPECT_EQ(near.value()->mtu, 1300U);
        EXPECT_FALSE(near.value()->up);
        const Result<std::optional<Link>> far = inside.find_link("eth0");
        ASSERT_TRUE(far.ok() && far.value());
        EXPECT_EQ(far.value()->mac.to_string(), "02:42:00:00:00:07");
        // The thread is inside, the socket from before still is outside.
        EXPECT_FALSE(socket.find_link("eth0")->has_value());
    });
}

TEST(RouteSocket, ChangesLinksAndBridgePorts) {
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        const int bridge = make_bridge(socket, "test0");
        RouteBatch pair;
        pair.add_veth(
            {.name = "a0",
             .peer_name = "b0",
             .peer_netns = {},
             .mtu = 1500,
             .master = bridge,
             .peer_mac = {}});
        execute(socket, pair);
        const int near = index_of(socket, "a0");
        RouteBatch batch;
        batch.change_link(index_of(socket, "b0"), {.state = LinkState::Up, .name = "c0"});
        batch.change_link(
            near,
            {.state = LinkState::Up,
             .mtu = 1300,
             .mac = *MacAddress::parse("02:00:00:00:00:09"),
             .group = 77,
             .without_link_local = true});
        batch.change_bridge_port(near, {.hairpin = true, .isolated = true});
        execute(socket, batch);
        const std::string link = output_of({"ip", "-d", "link", "show", "a0"});
        EXPECT_THAT(link, HasSubstr("mtu 1300"));
        EXPECT_THAT(link, HasSubstr("02:00:00:00:00:09"));
        EXPECT_THAT(link, HasSubstr("group 77"));
        EXPECT_THAT(link, HasSubstr("addrgenmode none"));
        EXPECT_THAT(link, HasSubstr("hairpin on"));
        EXPECT_THAT(link, HasSubstr("isolated on"));
        EXPECT_NE(index_of(socket, "c0"), -1);

        RouteBatch silence;
        silence.change_bridge_port(near, {.silence = true});
        execute(socket, silence);
        const std::string silent = output_of({"ip", "-d", "link", "show", "a0"});
        EXPECT_THAT(silent, HasSubstr("state disabled"));
        EXPECT_THAT(silent, HasSubstr("bcast_flood off"));

        RouteBatch removal;
        removal.delete_group(77);
        execute(socket, removal);
        EXPECT_FALSE(socket.find_link("a0")->has_value());
        EXPECT_FALSE(socket.find_link("c0")->has_value());
    });
}

TEST(RouteSocket, SetsHowLargePacketsALinkTakes) {
    constexpr int loopback = 1;
    if (open_route_socket().find_link(loopback).value()->gso_ipv4_max_size == 0) {
        GTEST_SKIP() << "the kernel has no gso_ipv4_max_size (before 6.3)";
    }
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        const int bridge = make_bridge(socket, "test0");
        const auto raise = [&] {
            RouteBatch batch;
            batch.change_link(bridge, {.gso_ipv4_max_size = 200000});
            return socket.execute_each(batch).value();
        };
        EXPECT_EQ(raise(), std::vector{EINVAL});
        RouteBatch pair;
        pair.add_veth(
            {.name = "a0",
             .peer_name = "b0",
             .peer_netns = {},
             .mtu = 1500,
             .master = bridge,
             .peer_mac = {},
             .gso_ipv4_max_size = 200000});
        execute(socket, pair);
        EXPECT_EQ(socket.find_link("a0").value()->gso_ipv4_max_size, 200000U);
        EXPECT_EQ(socket.find_link("b0").value()->gso_ipv4_max_size, 65536U);
        // A bridge takes what its ports do.
        EXPECT_EQ(raise(), std::vector{0});
        const std::vector<Link> links = socket.links().value();
        for (const Link& link : links) {
            EXPECT_EQ(
                link.gso_ipv4_max_size,
                link.index == bridge || link.name == "a0" ? 200000U : 65536U)
                << link.name;
        }
    });
}

TEST(RouteSocket, NamesTheRequestThatFailedAndKeepsErrno) {
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        const int index = make_bridge(socket, "test0");
        RouteBatch batch;
        batch.change_link(index, {.state = LinkState::Up});
        batch.add_route({.destination = {}, .gateway = *IpAddress::parse("203.0.113.1")});
        const Result<void> done = socket.execute(batch);
        ASSERT_FALSE(done.ok());
        EXPECT_EQ(done.error().error_number(), ENETUNREACH);
        EXPECT_THAT(done.error().message(), HasSubstr("add route to 0.0.0.0/0"));
        // The kernel's own words, from the extended acknowledgement.
        EXPECT_THAT(done.error().message(), HasSubstr("invalid gateway"));
    });
}

TEST(RouteSocket, TellsEachRequestsErrno) {
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        const int index = make_bridge(socket, "test0");
        RouteBatch batch;
        batch.add_address(index, *IpPrefix::parse("10.0.0.1/24"));
        batch.add_address(index, *IpPrefix::parse("10.0.0.1/24"));
        batch.delete_link(9999);
        batch.delete_address(index, *IpPrefix::parse("10.0.0.1/24"));
        const Result<std::vector<int>> errors = socket.execute_each(batch);
        ASSERT_TRUE(errors.ok());
        EXPECT_EQ(errors.value(), (std::vector<int>{0, EEXIST, ENODEV, 0}));
    });
}

TEST(RouteSocket, ListsLinksAddressesAndRoutes) {
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        // More than one buffer's worth of answers.
        for (int i = 0; i < 60; ++i) {
            make_bridge(socket, "test" + std::to_string(i));
        }
        EXPECT_EQ(socket.links()->size(), 61U);
        const int index = index_of(socket, "test7");
        RouteBatch batch;
        batch.change_link(index, {.state = LinkState::Up});
        batch.add_address(index, *IpPrefix::parse("10.1.0.1/24"));
        batch.add_address(index, *IpPrefix::parse("fd00::1/64"));
        batch.add_route({.destination = {}, .gateway = *IpAddress::parse("10.1.0.254")});
        execute(socket, batch);
        const Result<std::vector<LinkAddress>> addresses = socket.addresses();
        ASSERT_TRUE(addresses.ok());
        std::vector<std::string> texts;
        for (const LinkAddress& address : addresses.value()) {
            texts.push_back(address.address.to_string());
        }
        EXPECT_THAT(texts, testing::Contains("10.1.0.1/24"));
        EXPECT_THAT(texts, testing::Contains("fd00::1/64"));
        EXPECT_THAT(texts, testing::Contains("127.0.0.1/8"));
        bool has_default = false;
        const Result<std::vector<Route>> routes = socket.routes(IpFamily::V4);
        for (const Route& route : routes.value()) {
            has_default = has_default || (route.destination.length == 0 && route.gateway &&
                                          route.gateway->to_string() == "10.1.0.254" &&
                                          route.output_index == index);
        }
        EXPECT_TRUE(has_default);
    });
}

TEST(RouteSocket, LeadsAMarkToATableOfItsOwn) {
    in_new_network([] {
        RouteSocket socket = open_route_socket();
        const int lo = index_of(socket, "lo");
        RouteBatch up;
        up.change_link(lo, {.state = LinkState::Up});
        execute(socket, up);
        for (const IpFamily family : {IpFamily::V4, IpFamily::V6}) {
            const bool v4 = family == IpFamily::V4;
            const std::string option = v4 ? "-4" : "-6";
            const MarkRule rule{.family = family, .mark = 0x1234, .table = 70000, .priority = 99};
            RouteBatch batch;
            batch.add_route(
                {.destination = *IpPrefix::parse(v4 ? "0.0.0.0/0" : "::/0"),
                 .gateway = std::nullopt,
                 .output_index = lo,
                 .table = 70000});
            batch.add_rule(rule);
            execute(socket, batch);
            EXPECT_THAT(
                output_of({"ip", "-d", option, "rule"}),
                testing::HasSubstr("99:\tfrom all fwmark 0x1234 lookup 70000 proto kernel"));
            EXPECT_THAT(
                output_of({"ip", option, "route", "show", "table", "70000"}),
                testing::StartsWith("default dev lo"));
            const Result<std::vector<Route>> routes = socket.routes(family);
            EXPECT_TRUE(std::ranges::any_of(
                routes.value(), [](const Route& route) { return route.table == 70000; }));
            RouteBatch again;
            again.add_rule(rule);
            again.delete_rule(rule);
            again.delete_rule(rule);
            const Result<std::vector<int>> errors = socket.execute_each(again);
            EXPECT_EQ(errors.value(), (std::vector<int>{EEXIST, 0, ENOENT}));
        }
    });
}

TEST(NetworkNamespaceScope, BringsTheThreadBack) {
    in_new_network([] {
        const std::string before = output_of({"readlink", "/proc/self/ns/net"});
        {
            Result<NetworkNamespaceScope> scope = NetworkNamespaceScope::enter_new();
            ASSERT_TRUE(scope.ok());
            EXPECT_NE(output_of({"readlink", "/proc/self/ns/net"}), before);
        }
        EXPECT_EQ(output_of({"readlink", "/proc/self/ns/net"}), before);
    });
}

} // namespace
} // namespace berth::kernel
