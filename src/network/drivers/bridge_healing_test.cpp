// SPDX-License-Identifier: Apache-2.0
// Bridges that somebody deletes below running containers.
#include "kernel/netlink_link_watch.h"
#include "kernel/netlink_test_support.h"
#include "network/drivers/bridge_ports.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include <poll.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::LinkWatch;
using kernel::output_of;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Looks again with each change of the host's interfaces.
class LinkEvents {
  public:
    LinkEvents() { EXPECT_TRUE(watch_.set_scope(LinkWatch::Scope::All).ok()); }

    bool wait_until(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!condition()) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                deadline - std::chrono::steady_clock::now());
            pollfd entry{.fd = watch_.fd().get(), .events = POLLIN, .revents = 0};
            if (left.count() <= 0 || ::poll(&entry, 1, static_cast<int>(left.count())) != 1) {
                return condition();
            }
            EXPECT_TRUE(watch_.read_news().ok());
        }
        return true;
    }

    bool wait_until_joined(const Endpoint& endpoint, const std::string& bridge = "test0") {
        return wait_until([&] { return is_joined(endpoint, bridge); });
    }

    static bool is_joined(const Endpoint& endpoint, const std::string& bridge) {
        const std::string link = output_of({"ip", "-o", "link", "show", endpoint.host_interface});
        return link.find(" master " + bridge + " ") != std::string::npos;
    }

  private:
    LinkWatch watch_ = LinkWatch::open().value();
};

int number_of(const std::string& name) {
    return kernel::RouteSocket::open()->find_link(name).value()->index;
}

std::string hardware_address(const std::string& name) {
    return kernel::RouteSocket::open()->find_link(name).value()->mac.to_string();
}

void delete_link(const std::string& name) {
    output_of({"ip", "link", "delete", name});
}

// The only interface whose name begins so.
std::string name_beginning_with(const std::string& prefix) {
    const std::string links = output_of({"ip", "-o", "link"});
    const std::size_t start = links.find(": " + prefix) + 2;
    EXPECT_EQ(links.find(": " + prefix, start), std::string::npos);
    return links.substr(start, links.find_first_of("@:", start) - start);
}

TEST(BridgeHealing, GivesRunningContainersTheirTrafficBack) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.subnet_v6 = *IpPrefix::parse("fd00:17::/64");
        const auto network = create(*driver, options);
        const Endpoint web = connect(*network, "web", {tcp(8080, 80)});
        const Endpoint other = connect(*network, "other");
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        const EchoServer world(outside, Protocol::Tcp, 80);
        const EchoServer host(here, Protocol::Udp, 7777);
        const auto expect_traffic = [&] {
            EXPECT_EQ(ask(outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
            EXPECT_EQ(ask(here, Protocol::Tcp, "127.0.0.1", 8080), "172.17.0.1");
            EXPECT_EQ(ask(here, Protocol::Tcp, "172.17.0.2", 80), "172.17.0.1");
            EXPECT_EQ(ask(other.netns, Protocol::Tcp, "172.17.0.2", 80), "172.17.0.3");
            EXPECT_EQ(
                ask(other.netns, Protocol::Tcp, web.ip_v6->to_string(), 80),
                other.ip_v6->to_string());
            EXPECT_EQ(ask(other.netns, Protocol::Tcp, "10.99.0.2", 80), "10.99.0.1");
            EXPECT_EQ(
                ask(other.netns, Protocol::Udp, "fd00:17::1", 7777), other.ip_v6->to_string());
        };
        expect_traffic();
        const std::string mac = hardware_address("test0");
        LinkEvents events;
        delete_link("test0");
        ASSERT_TRUE(events.wait_until_joined(web));
        ASSERT_TRUE(events.wait_until_joined(other));
        expect_traffic();
        EXPECT_EQ(hardware_address("test0"), mac);
        EXPECT_THAT(output_of({"ip", "link", "show", "test0"}), HasSubstr("alias berth:berth"));
        // And all of it goes with the network as if nothing had been.
        ASSERT_TRUE(network->disconnect("web").ok());
        ASSERT_TRUE(network->disconnect("other").ok());
        ASSERT_TRUE(driver->remove("test0").ok());
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("test0")));
    });
}

TEST(BridgeHealing, LetsContainersJoinAtOnce) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.pool_size = 2;
        const auto network = create(*driver, options);
        const Endpoint before = connect(*network, "before");
        ASSERT_TRUE(network->wait_until_pool_is_full(std::chrono::seconds(10)));
        delete_link("test0");
        // Does not wait for anybody to notice, nor take what was made ready on the former bridge.
        const Endpoint after = connect(*network, "after");
        EXPECT_TRUE(reaches(after, before.ip.to_string()));
        EXPECT_TRUE(reaches(after, "172.17.0.1"));
        ASSERT_TRUE(network->wait_until_pool_is_full(std::chrono::seconds(10)));
        EXPECT_TRUE(reaches(connect(*network, "late"), before.ip.to_string()));
    });
}

// Containers know their gateway by it for half a minute and more.
TEST(BridgeHealing, KeepsAMacThatNoAddressTells) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options{.name = "test0", .subnet = {}};
        options.subnet_v6 = *IpPrefix::parse("fd00:17::/64");
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const std::string mac = hardware_address("test0");
        LinkEvents events;
        delete_link("test0");
        ASSERT_TRUE(events.wait_until_joined(a));
        EXPECT_EQ(hardware_address("test0"), mac);
        EXPECT_TRUE(reaches(a, "fd00:17::1"));
    });
}

TEST(BridgeHealing, GivesContainersTheShortWayBack) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        delete_link("test0");
        const Endpoint late = connect(*network, "late");
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        constexpr int questions = 60;
        for (const Endpoint* client : {&b, &late}) {
            EXPECT_EQ(ask(client->netns, Protocol::Tcp, "172.17.0.2", 80), client->ip.to_string());
            const int before = over_the_bridge(a);
            for (int i = 0; i < questions; ++i) {
                ask(client->netns, Protocol::Tcp, "172.17.0.2", 80);
            }
            EXPECT_LT(over_the_bridge(a) - before, questions);
        }
    });
}

TEST(BridgeHealing, KeepsContainersApart) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.inter_container = false;
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const EchoServer server(b.netns, Protocol::Tcp, 80);
        ASSERT_TRUE(
            network->open_to_peer({.from = "a", .to = "b", .ports = {{Protocol::Tcp, 80}}}).ok());
        LinkEvents events;
        delete_link("test0");
        ASSERT_TRUE(events.wait_until_joined(a));
        ASSERT_TRUE(events.wait_until_joined(b));
        EXPECT_TRUE(reaches(a, "172.17.0.1"));
        EXPECT_FALSE(reaches(a, b.ip.to_string()));
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "172.17.0.3", 80), "172.17.0.2");
        for (const Endpoint* endpoint : {&a, &b}) {
            EXPECT_THAT(
                output_of({"bridge", "-d", "link", "show", "dev", endpoint->host_interface}),
                AllOf(HasSubstr("isolated on"), HasSubstr("hairpin on")));
        }
    });
}

TEST(BridgeHealing, KeepsInternalNetworksInternal) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.internal = true;
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        inside(a, {"ip", "route", "add", "default", "via", "172.17.0.1"});
        const EchoServer world(outside, Protocol::Tcp, 80);
        LinkEvents events;
        delete_link("test0");
        ASSERT_TRUE(events.wait_until_joined(a));
        ASSERT_TRUE(events.wait_until_joined(b));
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        EXPECT_TRUE(reaches(a, "172.17.0.1"));
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "10.99.0.2", 80), "timeout");
    });
}

// With a first and one further bridge: a is on the former, b on the latter.
void with_linked_bridges(const std::function<void(BridgeNetwork&, Endpoint&, Endpoint&)>& body) {
    in_new_network([&] {
        BridgePorts::set_limit_for_test(1);
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        Endpoint a = connect(*network, "a");
        Endpoint b = connect(*network, "b");
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        body(*network, a, b);
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        EXPECT_TRUE(reaches(b, "172.17.0.1"));
        // One of each, and all of it goes with the network.
        name_beginning_with("brx-");
        name_beginning_with("brj-");
        name_beginning_with("brk-");
        ASSERT_TRUE(network->disconnect("a").ok());
        ASSERT_TRUE(network->disconnect("b").ok());
        ASSERT_TRUE(driver->remove("test0").ok());
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("brx-")));
    });
}

TEST(BridgeHealing, PutsFurtherBridgesBackOnTheFirstOne) {
    with_linked_bridges([](BridgeNetwork&, Endpoint& a, Endpoint&) {
        LinkEvents events;
        delete_link("test0");
        ASSERT_TRUE(events.wait_until_joined(a));
    });
}

TEST(BridgeHealing, MakesFurtherBridgesAgain) {
    with_linked_bridges([](BridgeNetwork&, Endpoint&, Endpoint& b) {
        LinkEvents events;
        const std::string further = name_beginning_with("brx-");
        delete_link(further);
        ASSERT_TRUE(events.wait_until([&] {
            const std::string links = output_of({"ip", "-o", "link"});
            const std::size_t place = links.find(": brx-");
            return place != std::string::npos &&
                   LinkEvents::is_joined(b, links.substr(place + 2, further.size()));
        }));
    });
}

TEST(BridgeHealing, JoinsFurtherBridgesAgain) {
    with_linked_bridges([](BridgeNetwork& network, Endpoint& a, Endpoint&) {
        LinkEvents events;
        const std::string joint = name_beginning_with("brk-");
        delete_link(joint);
        ASSERT_TRUE(events.wait_until([&] {
            const std::string links =
                output_of({"ip", "-o", "link", "show", "up", "master", "test0"});
            return links.find(": brj-") != std::string::npos;
        }));
        EXPECT_TRUE(LinkEvents::is_joined(a, network.name()));
    });
}

TEST(BridgeHealing, SaysWhyItCannotBeAndGoesOnWhenItCan) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        output_of({"ip", "link", "add", "foreign", "type", "veth", "peer", "name", "far"});
        // Whoever deletes a bridge and takes its name may be slower than the engine: so the name
        // goes first.
        output_of({"ip", "link", "set", "test0", "down"});
        output_of({"ip", "link", "set", "test0", "name", "former"});
        output_of({"ip", "link", "set", "foreign", "name", "test0"});
        delete_link("former");
        const Result<Endpoint> refused = network->connect({.id = "c", .container_name = "c"});
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(
            refused.error().message(),
            "bridge test0 of network test0 is not there any more, somebody has deleted it, and it "
            "cannot be made again: interface test0 exists and is not a bridge");
        EXPECT_EQ(refused.error().kind(), ErrorKind::Conflict);
        EXPECT_EQ(network->endpoint_count(), 2U);
        LinkEvents events;
        delete_link("test0");
        ASSERT_TRUE(events.wait_until_joined(a));
        ASSERT_TRUE(events.wait_until_joined(b));
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        EXPECT_TRUE(reaches(connect(*network, "c"), b.ip.to_string()));
    });
}

TEST(BridgeHealing, FindsContainersThatLostTheirBridgeWhileThereWasNoEngine) {
    in_new_network([] {
        BridgePorts::set_limit_for_test(2);
        const UniqueFd outside = make_outside_world();
        std::vector<Endpoint> kept;
        NetworkDriver::Options options;
        {
            const auto driver = start_driver();
            const auto network = create_default(*driver);
            kept.push_back(connect(*network, "a", {tcp(8080, 80)}));
            kept.push_back(connect(*network, "b"));
            kept.push_back(connect(*network, "c"));
            options.networks.push_back(record_of(*network, kept));
        }
        delete_link("test0");
        const auto driver = start_driver(std::move(options));
        const EchoServer server(kept[0].netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
        EXPECT_TRUE(reaches(kept[1], kept[0].ip.to_string()));
        EXPECT_TRUE(reaches(kept[2], kept[0].ip.to_string()));
        EXPECT_TRUE(reaches(connect(*driver->find("test0"), "d"), kept[2].ip.to_string()));
    });
}

TEST(BridgeHealing, LeavesOtherNetworksAlone) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto left = create(*driver, bridge_options("left0", "172.17.0.0/16"));
        const auto right = create(*driver, bridge_options("right0", "172.18.0.0/16"));
        const Endpoint a = connect(*left, "a");
        const Endpoint b = connect(*right, "b");
        const int bridge = number_of("right0");
        LinkEvents events;
        delete_link("left0");
        ASSERT_TRUE(events.wait_until_joined(a, "left0"));
        EXPECT_EQ(number_of("right0"), bridge);
        EXPECT_TRUE(reaches(b, "172.18.0.1"));
        // A network that goes stays gone.
        ASSERT_TRUE(left->disconnect("a").ok());
        ASSERT_TRUE(driver->remove("left0").ok());
        driver->wait_until_removed();
        delete_link("right0");
        ASSERT_TRUE(events.wait_until_joined(b, "right0"));
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("left0")));
        EXPECT_EQ(driver->pick_subnet()->to_string(), "172.17.0.0/16");
    });
}

} // namespace
} // namespace berth::network
