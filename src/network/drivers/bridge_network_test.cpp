// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_test_support.h"
#include "network/network_contract.h"
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

TEST(BridgeNetwork, GivesAContainerItsInterfaceAddressAndRoute) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint endpoint = connect(*network, "a");
        EXPECT_EQ(endpoint.ip.to_string(), "172.17.0.2");
        EXPECT_EQ(endpoint.mac.to_string(), "02:42:ac:11:00:02");
        EXPECT_EQ(endpoint.gateway.to_string(), "172.17.0.1");
        const std::string address = inside(endpoint, {"ip", "address"});
        EXPECT_THAT(address, HasSubstr("eth0@"));
        EXPECT_THAT(address, HasSubstr("inet 172.17.0.2/16 brd 172.17.255.255"));
        EXPECT_THAT(address, HasSubstr("link/ether 02:42:ac:11:00:02"));
        EXPECT_THAT(address, HasSubstr("inet 127.0.0.1/8"));
        EXPECT_THAT(address, Not(HasSubstr("fe80::")));
        EXPECT_THAT(
            inside(endpoint, {"ip", "route"}), HasSubstr("default via 172.17.0.1 dev eth0"));
        EXPECT_THAT(
            inside(endpoint, {"sysctl", "net.ipv4.ip_unprivileged_port_start"}), HasSubstr("= 0"));
        EXPECT_THAT(
            inside(endpoint, {"sysctl", "net.ipv4.ping_group_range"}), HasSubstr("2147483647"));
        EXPECT_THAT(
            output_of({"ip", "link", "show", "master", "test0"}),
            HasSubstr(endpoint.host_interface));
        EXPECT_THAT(
            output_of({"ip", "-6", "route", "show", "table", "all"}),
            Not(HasSubstr(endpoint.host_interface)));
    });
}

TEST(BridgeNetwork, CarriesTrafficBetweenContainersAndToTheHost) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
            const EchoServer server(b.netns, protocol, 80);
            EXPECT_EQ(ask(a.netns, protocol, "172.17.0.3", 80), "172.17.0.2");
            EXPECT_EQ(ask(here, protocol, "172.17.0.3", 80), "172.17.0.1");
        }
    });
}

TEST(BridgeNetwork, LetsContainersOutMasqueradedAndNobodyIn) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const EchoServer world(outside, Protocol::Tcp, 80);
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "10.99.0.2", 80), "10.99.0.1");
        // Even one who knows the way does not reach an unpublished port.
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        output_of(
            {"nsenter",
             // NOLINTNEXTLINE(android-cloexec-dup): the program is to have it
             "--net=/proc/self/fd/" + std::to_string(::dup(outside.get())),
             "ip",
             "route",
             "add",
             "172.17.0.0/16",
             "via",
             "10.99.0.1"});
        EXPECT_EQ(ask_in_vain(outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
    });
}

TEST(BridgeNetwork, PublishesPortsToOutsideHostAndContainers) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint web = connect(
            *network,
            "web",
            {tcp(8080, 80),
             {.protocol = Protocol::Udp, .container_port = 53, .host_ip = {}, .host_port = 5353}});
        const Endpoint other = connect(*network, "other");
        const EchoServer tcp_server(web.netns, Protocol::Tcp, 80);
        const EchoServer udp_server(web.netns, Protocol::Udp, 53);
        EXPECT_EQ(ask(outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
        EXPECT_EQ(ask(outside, Protocol::Udp, "10.99.0.1", 5353), "10.99.0.2");
        EXPECT_EQ(ask(here, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.1");
        EXPECT_EQ(ask(here, Protocol::Udp, "10.99.0.1", 5353), "10.99.0.1");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        EXPECT_EQ(ask(here, Protocol::Udp, "127.0.0.1", 5353), "172.17.0.1");
        // From another container of the network, and from itself.
        EXPECT_EQ(ask(other.netns, Protocol::Tcp, "10.99.0.1", 8080), "172.17.0.1");
        EXPECT_EQ(ask(other.netns, Protocol::Tcp, "172.17.0.1", 8080), "172.17.0.1");
        EXPECT_EQ(ask(web.netns, Protocol::Tcp, "10.99.0.1", 8080), "172.17.0.1");
        EXPECT_EQ(ask(web.netns, Protocol::Udp, "10.99.0.1", 5353), "172.17.0.1");
    });
}

TEST(BridgeNetwork, PublishesOnOneAddressOnly) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint web = connect(*network, "web", {tcp(8080, 80, "127.0.0.1")});
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        EXPECT_EQ(ask(here, Protocol::Tcp, "10.99.0.1", 8080), "refused");
        EXPECT_EQ(ask_in_vain(outside, Protocol::Tcp, "10.99.0.1", 8080), "refused");
    });
}

TEST(BridgeNetwork, KeepsContainersAwayFromTheHostsLoopback) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const EchoServer server(here, Protocol::Udp, 7777);
        // A privileged container may send anything: loopback's addresses through the bridge.
        inside(a, {"sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"});
        inside(a, {"ip", "route", "del", "local", "127.0.0.0/8", "table", "local"});
        inside(a, {"ip", "route", "del", "local", "127.0.0.1", "table", "local"});
        inside(a, {"ip", "route", "add", "127.0.0.0/8", "via", "172.17.0.1"});
        EXPECT_EQ(ask(a.netns, Protocol::Udp, "172.17.0.1", 7777), "172.17.0.2");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Udp, "127.0.0.1", 7777), "timeout");
    });
}

TEST(BridgeNetwork, TakesAPublishedPortBackAtDisconnect) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint web = connect(*network, "web", {tcp(8080, 80)});
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        ASSERT_TRUE(network->disconnect("web").ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "refused");
        EXPECT_EQ(network->endpoint_count(), 0U);
        const EchoServer own(here, Protocol::Tcp, 8080);
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "127.0.0.1");
    });
}

TEST(BridgeNetwork, AddsAndTakesPortsOfARunningContainer) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint web = connect(*network, "web");
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        const Result<std::vector<BoundPort>> bound = network->publish("web", {tcp(8080, 80)});
        ASSERT_TRUE(bound.ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
        ASSERT_TRUE(network->unpublish("web", bound.value()).ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "refused");
    });
}

TEST(BridgeNetwork, LeadsAPatientDatagramClientToEachNewContainer) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const PortRequest dns{
            .protocol = Protocol::Udp, .container_port = 53, .host_ip = {}, .host_port = 5353};
        DatagramClient client(outside, "10.99.0.1", 5353);
        EXPECT_EQ(client.ask(), "refused"); // tracked from here on
        const Endpoint first = connect(*network, "first", {dns});
        const auto server = std::make_unique<EchoServer>(first.netns, Protocol::Udp, 53);
        EXPECT_EQ(client.ask(), "10.99.0.2");
        const Endpoint between = connect(*network, "between");
        ASSERT_TRUE(network->disconnect("first").ok());
        const Endpoint other = connect(*network, "other");
        const Endpoint second = connect(*network, "second", {dns});
        EXPECT_NE(second.ip, first.ip);
        const EchoServer successor(second.netns, Protocol::Udp, 53);
        EXPECT_EQ(client.ask(), "10.99.0.2");
    });
}

TEST(BridgeNetwork, RefusesAPortOfAnotherContainerInDockersWords) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint web = connect(*network, "web", {tcp(8080, 80)});
        EndpointRequest request{
            .id = "ep2", .container_name = "second", .ports = {tcp(8080, 80, "127.0.0.1")}};
        const Result<Endpoint> second = network->connect(request);
        ASSERT_FALSE(second.ok());
        EXPECT_EQ(
            second.error().message(),
            "driver failed programming external connectivity on endpoint second (ep2): Bind for "
            "127.0.0.1:8080 failed: port is already allocated");
        // Nothing is left: the address is the next one's.
        EXPECT_EQ(connect(*network, "c").ip.to_string(), "172.17.0.3");
    });
}

TEST(BridgeNetwork, RefusesAPortOfAnotherProgramInDockersWords) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const EchoServer program(here, Protocol::Tcp, 8080);
        EndpointRequest request{.id = "ep", .container_name = "web", .ports = {tcp(8080, 80)}};
        const Result<Endpoint> refused = network->connect(request);
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(
            refused.error().message(),
            "driver failed programming external connectivity on endpoint web (ep): failed to bind "
            "host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use");
        EXPECT_EQ(network->endpoint_count(), 0U);
    });
}

TEST(BridgeNetwork, HoldsAPublishedPortAgainstOtherPrograms) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint web = connect(*network, "web", {tcp(8080, 80)});
        PortReservations others; // as another program, SO_REUSEADDR included
        const Result<std::vector<BoundPort>> taken =
            others.reserve({tcp(8080, 80)}, *IpAddress::parse("172.18.0.2"));
        ASSERT_FALSE(taken.ok());
        EXPECT_THAT(taken.error().message(), HasSubstr("address already in use"));
    });
}

TEST(BridgeNetwork, ChoosesFreeHostPorts) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        PortRequest range = tcp(9000, 80);
        range.host_port_end = 9002;
        const Endpoint a = connect(*network, "a", {tcp(0, 80), tcp(0, 81), range});
        const Endpoint b = connect(*network, "b", {tcp(0, 80), range});
        EXPECT_GE(a.ports[0].host_port, 32768);
        EXPECT_NE(a.ports[0].host_port, a.ports[1].host_port);
        EXPECT_NE(a.ports[1].host_port, b.ports[0].host_port);
        EXPECT_EQ(a.ports[2].host_port, 9000);
        EXPECT_EQ(b.ports[1].host_port, 9001);
        const EchoServer server(b.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", b.ports[0].host_port), "172.17.0.1");
        EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 9001), "172.17.0.1");
    });
}

TEST(BridgeNetwork, KeepsNetworksApart) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto one = create_default(*driver);
        const auto two = create(*driver, bridge_options("test1", "172.18.0.0/16"));
        const Endpoint a = connect(*one, "a");
        const Endpoint b = connect(*two, "b", {tcp(8080, 80)});
        const EchoServer server(b.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.18.0.2", 80), "timeout");
        EXPECT_EQ(ask(here, Protocol::Tcp, "172.18.0.2", 80), "172.18.0.1");
        // A published port is everybody's.
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "172.17.0.1", 8080), "172.18.0.1");
    });
}

TEST(BridgeNetwork, KeepsContainersApartWithoutInterContainerTraffic) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.inter_container = false;
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b", {tcp(8080, 80)});
        const EchoServer server(b.netns, Protocol::Tcp, 80);
        const EchoServer world(outside, Protocol::Tcp, 80);
        EXPECT_NE(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.3", 80), "172.17.0.2");
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "10.99.0.2", 80), "10.99.0.1");
        EXPECT_EQ(ask(outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
    });
}

TEST(BridgeNetwork, LeadsNowhereWhenInternal) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.internal = true;
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a", {tcp(8080, 80)});
        const Endpoint b = connect(*network, "b");
        EXPECT_TRUE(a.ports.empty());
        EXPECT_THAT(inside(a, {"ip", "route"}), Not(HasSubstr("default")));
        const EchoServer server(b.netns, Protocol::Tcp, 80);
        const EchoServer world(outside, Protocol::Udp, 80);
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "172.17.0.3", 80), "172.17.0.2");
        inside(a, {"ip", "route", "add", "default", "via", "172.17.0.1"});
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Udp, "10.99.0.2", 80), "timeout");
    });
}

TEST(BridgeNetwork, TakesWishesForAddressMacAndName) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(
            *network,
            EndpointRequest{
                .id = "a",
                .container_name = {},
                .ports = {},
                .ip = *IpAddress::parse("172.17.9.9"),
                .mac = *MacAddress::parse("02:00:00:00:00:55"),
                .interface_name = "net0"});
        const std::string address = inside(a, {"ip", "address", "show", "net0"});
        EXPECT_THAT(address, HasSubstr("172.17.9.9/16"));
        EXPECT_THAT(address, HasSubstr("02:00:00:00:00:55"));
        EXPECT_THAT(address, HasSubstr(",UP"));
        const Result<Endpoint> again = network->connect(
            {.id = "b", .container_name = {}, .ports = {}, .ip = *IpAddress::parse("172.17.9.9")});
        ASSERT_FALSE(again.ok());
        EXPECT_EQ(again.error().kind(), ErrorKind::Conflict);
        EXPECT_EQ(again.error().message(), "Address already in use");
    });
}

TEST(BridgeNetwork, ConnectsAndDisconnectsARunningContainer) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto one = create_default(*driver);
        const auto two = create(*driver, bridge_options("test1", "172.18.0.0/16"));
        const Endpoint a = connect(*one, "a");
        const Endpoint second = connect(
            *two,
            EndpointRequest{
                .id = "a2",
                .container_name = {},
                .ports = {},
                .ip = {},
                .mac = {},
                .interface_name = "eth1",
                .netns = &a.netns,
                .default_route = false});
        EXPECT_FALSE(second.netns);
        EXPECT_THAT(inside(a, {"ip", "address"}), HasSubstr("172.18.0.2/16"));
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(here, Protocol::Tcp, "172.18.0.2", 80), "172.18.0.1");
        ASSERT_TRUE(two->disconnect("a2", Detach::Now).ok());
        EXPECT_THAT(inside(a, {"ip", "address"}), Not(HasSubstr("eth1")));
        EXPECT_EQ(ask(here, Protocol::Tcp, "172.17.0.2", 80), "172.17.0.1");
    });
}

TEST(BridgeNetwork, GivesAnAddressAgainAtOnceAndTheNewOwnerAnswers) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        // The old namespace stays alive all the while.
        const Endpoint old = connect(*network, "old");
        const EchoServer old_server(old.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(here, Protocol::Tcp, "172.17.0.2", 80), "172.17.0.1");
        ASSERT_TRUE(network->disconnect("old").ok());
        const Endpoint fresh = connect(*network, "new");
        EXPECT_EQ(fresh.ip.to_string(), "172.17.0.2");
        const EchoServer server(fresh.netns, Protocol::Tcp, 81);
        EXPECT_EQ(ask(here, Protocol::Tcp, "172.17.0.2", 81), "172.17.0.1");
        EXPECT_EQ(ask(here, Protocol::Tcp, "172.17.0.2", 80), "refused");
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr(old.host_interface)));
        EXPECT_EQ(ask(here, Protocol::Tcp, "172.17.0.2", 81), "172.17.0.1");
    });
}

TEST(BridgeNetwork, ServesManyAtOnceFromAnEmptyPool) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.pool_size = 2;
        const auto network = create(*driver, options);
        std::vector<Endpoint> endpoints(12);
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < endpoints.size(); ++i) {
            threads.emplace_back(
                [&, i] { endpoints[i] = connect(*network, "e" + std::to_string(i)); });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        for (const Endpoint& endpoint : endpoints) {
            const EchoServer server(endpoint.netns, Protocol::Tcp, 80);
            EXPECT_EQ(ask(here, Protocol::Tcp, endpoint.ip.to_string(), 80), "172.17.0.1");
        }
        EXPECT_TRUE(network->wait_until_pool_is_full(std::chrono::seconds(10)));
    });
}

std::shared_ptr<Network> make_bridge(NetworkDriver& driver, bool v6) {
    BridgeOptions options = bridge_options("test7", "10.77.0.0/24");
    if (v6) {
        options.subnet_v6 = *IpPrefix::parse("fd00:77::/64");
    }
    return create(driver, options);
}

INSTANTIATE_TEST_SUITE_P(
    Bridge,
    NetworkContract,
    testing::Values(NetworkVariant{.name = "bridge", .make = make_bridge}),
    [](const auto& variant) { return variant.param.name; });

TEST(BridgeNetwork, HasIpv6OnTheBridgeAndInContainers) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = make_bridge(*driver, true);
        const Endpoint a = connect(*network, "a");
        EXPECT_THAT(
            output_of({"ip", "address", "show", "test7"}), HasSubstr("inet6 fd00:77::1/64"));
        EXPECT_THAT(inside(a, {"ip", "-6", "route"}), HasSubstr("default via fd00:77::1 dev eth0"));
        EXPECT_THAT(inside(a, {"sysctl", "net.ipv6.conf.eth0.accept_ra"}), HasSubstr("= 0"));
        EXPECT_THAT(inside(a, {"ip", "address"}), Not(HasSubstr("tentative")));
        EXPECT_THAT(output_of({"sysctl", "net.ipv6.conf.all.forwarding"}), HasSubstr("= 1"));
    });
}

TEST(BridgeNetwork, CanBeIpv6Only) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test7", "0.0.0.0/0");
        options.subnet_v6 = *IpPrefix::parse("fd00:77::/64");
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        EXPECT_TRUE(a.ip.is_unspecified());
        EXPECT_THAT(inside(a, {"ip", "-4", "address"}), Not(HasSubstr("eth0")));
        EXPECT_TRUE(reaches(a, "fd00:77::1"));
    });
}

TEST(BridgeNetwork, TakesLooseNamespacesOfThePool) {
    in_new_network([] {
        const auto driver = start_driver({.networks = {}, .loose_pool_size = 1});
        BridgeOptions options = bridge_options("test7", "10.77.0.0/24");
        options.mtu = 1400;
        const auto network = create(*driver, options);
        for (const char* id : {"a", "b", "c"}) {
            const Endpoint endpoint = connect(*network, id);
            EXPECT_THAT(inside(endpoint, {"ip", "link", "show", "eth0"}), HasSubstr("mtu 1400"));
            EXPECT_TRUE(reaches(endpoint, "10.77.0.1"));
        }
    });
}

TEST(BridgeNetwork, KeepsTheHostsOwnRouteByRouterAdvertisements) {
    in_new_network([] {
        output_of({"ip", "link", "add", "up0", "type", "bridge"});
        output_of({"sysctl", "-w", "net.ipv6.conf.up0.accept_ra=1"});
        const auto driver = start_driver();
        const auto network = make_bridge(*driver, true);
        EXPECT_THAT(output_of({"sysctl", "net.ipv6.conf.up0.accept_ra"}), HasSubstr("= 2"));
        EXPECT_THAT(output_of({"sysctl", "net.ipv6.conf.test7.accept_ra"}), HasSubstr("= 0"));
    });
}

} // namespace
} // namespace berth::network
