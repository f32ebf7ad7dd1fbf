// SPDX-License-Identifier: Apache-2.0
// Which links allow large packets. That they travel and arrive is tests/system/test_big_tcp.py's.
#include "kernel/netlink_test_support.h"
#include "network/big_tcp.h"
#include "network/drivers/bridge_ports.h"
#include "network/network_test_support.h"

#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using kernel::RouteSocket;

class BigTcp : public testing::Test {
  protected:
    void SetUp() override {
        constexpr int loopback = 1;
        if (RouteSocket::open()->find_link(loopback).value()->gso_ipv4_max_size == 0) {
            GTEST_SKIP() << "the kernel has no gso_ipv4_max_size (before 6.3)";
        }
    }

    void TearDown() override { BridgePorts::set_limit_for_test(900); }
};

std::uint32_t size_of(const std::string& link) {
    return RouteSocket::open()->find_link(link).value()->gso_ipv4_max_size;
}

std::uint32_t size_inside(const Endpoint& endpoint) {
    return RouteSocket::open_in(endpoint.netns)->find_link("eth0").value()->gso_ipv4_max_size;
}

void set_size(const std::string& link, std::uint32_t size) {
    RouteSocket socket = RouteSocket::open().value();
    kernel::RouteBatch batch;
    batch.change_link(link, {.gso_ipv4_max_size = size});
    EXPECT_TRUE(socket.execute(batch).ok()) << link;
}

// The first of the links that begin with it.
std::string link_like(const std::string& prefix) {
    const std::vector<kernel::Link> links = RouteSocket::open()->links().value();
    for (const kernel::Link& link : links) {
        if (link.name.starts_with(prefix)) {
            return link.name;
        }
    }
    ADD_FAILURE() << "no link " << prefix;
    return {};
}

EndpointRecord record_of(const Endpoint& endpoint) {
    return {
        .id = endpoint.id,
        .container_name = endpoint.id,
        .ip = endpoint.ip,
        .mac = endpoint.mac,
        .host_interface = endpoint.host_interface,
        .ports = {}};
}

TEST_F(BigTcp, IsOfTheBridgeAndTheHostsEndAndNotOfTheContainers) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        EXPECT_EQ(size_of(a.host_interface), big_packet_size);
        EXPECT_EQ(size_of("test0"), big_packet_size);
        EXPECT_EQ(size_inside(a), ordinary_packet_size);
    });
}

TEST_F(BigTcp, IsOfWhatThePoolHasReady) {
    in_new_network([] {
        const auto driver = start_driver({.networks = {}, .loose_pool_size = 1});
        BridgeOptions options = bridge_options("test7", "10.77.0.0/24");
        options.pool_size = 1;
        const auto network = create(*driver, options);
        ASSERT_TRUE(network->wait_until_pool_is_full(std::chrono::seconds(10)));
        EXPECT_EQ(size_of("test7"), big_packet_size);
        const auto loose = create(*driver, bridge_options("test8", "10.78.0.0/24"));
        for (const Endpoint& endpoint : {connect(*network, "a"), connect(*loose, "b")}) {
            EXPECT_EQ(size_of(endpoint.host_interface), big_packet_size);
            EXPECT_EQ(size_inside(endpoint), ordinary_packet_size);
        }
        EXPECT_EQ(size_of("test8"), big_packet_size);
    });
}

TEST_F(BigTcp, IsTurnedOffForANetwork) {
    in_new_network([] {
        const auto driver = start_driver({.networks = {}, .loose_pool_size = 1});
        BridgeOptions options = bridge_options("test7", "10.77.0.0/24");
        options.big_tcp = false;
        const auto network = create(*driver, options);
        // From the pool of loose ones, and on the spot.
        for (const char* id : {"a", "b", "c"}) {
            EXPECT_EQ(size_of(connect(*network, id).host_interface), ordinary_packet_size);
        }
        EXPECT_EQ(size_of("test7"), ordinary_packet_size);
    });
}

TEST_F(BigTcp, IsNotOfAnAdministratorsBridge) {
    in_new_network([] {
        output_of({"ip", "link", "add", "test0", "type", "bridge"});
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        EXPECT_EQ(size_of(connect(*network, "a").host_interface), ordinary_packet_size);
        EXPECT_EQ(size_of("test0"), ordinary_packet_size);
    });
}

TEST_F(BigTcp, GivesWayToAPortThatTakesLess) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        output_of({"ip", "link", "add", "card0", "type", "vxlan", "id", "7", "dstport", "4789"});
        output_of({"ip", "link", "set", "card0", "master", "test0"});
        EXPECT_EQ(size_of("test0"), ordinary_packet_size);
        const Endpoint b = connect(*network, "b");
        EXPECT_TRUE(reaches(b, "172.17.0.1"));
        EXPECT_EQ(size_of("test0"), ordinary_packet_size);
        output_of({"ip", "link", "delete", "card0"});
        const Endpoint c = connect(*network, "c");
        EXPECT_EQ(size_of("test0"), big_packet_size);
    });
}

TEST_F(BigTcp, IsOfTheWayToAFurtherBridge) {
    in_new_network([] {
        BridgePorts::set_limit_for_test(1);
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        EXPECT_EQ(size_of(link_like("brj-")), big_packet_size);
        EXPECT_EQ(size_of(b.host_interface), big_packet_size);
    });
}

TEST_F(BigTcp, IsGivenToWhatAnEarlierBuildHasMade) {
    in_new_network([] {
        BridgePorts::set_limit_for_test(1);
        NetworkRecord record{.options = bridge_options("test0", "172.17.0.0/16"), .endpoints = {}};
        Endpoint a;
        Endpoint b;
        {
            const auto driver = start_driver();
            const auto network = create_default(*driver);
            a = connect(*network, "a");
            b = connect(*network, "b");
        }
        const std::vector<std::string> links{
            a.host_interface, b.host_interface, link_like("brj-"), "test0"};
        for (const std::string& link : links) {
            set_size(link, ordinary_packet_size);
        }
        output_of({"ip", "link", "add", "own0", "type", "veth", "peer", "name", "own1"});
        output_of({"ip", "link", "set", "own0", "master", "test0"});
        record.endpoints = {record_of(a), record_of(b)};
        const auto driver = start_driver({.networks = {record}});
        for (const std::string& link : links) {
            EXPECT_EQ(size_of(link), big_packet_size) << link;
        }
        EXPECT_EQ(size_of("own0"), ordinary_packet_size) << "it is not the engine's";
    });
}

} // namespace
} // namespace berth::network
