// SPDX-License-Identifier: Apache-2.0
// Macvlan networks on one end of a veth pair, with a machine at the other. (This needs a kernel
// with macvlan; ipvlan and VLANs are asked for, and tested where the kernel has them.)
#include "kernel/netlink_test_support.h"
#include "network/drivers/sublink_network.h"
#include "network/network_contract.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;
using testing::Not;

Subnet subnet(const std::string& prefix) {
    return {.prefix = *IpPrefix::parse(prefix)};
}

SublinkOptions options_on(const std::string& parent) {
    return {
        .name = "dm-test",
        .id = "test-id",
        .parent = parent,
        .subnets = {subnet("10.77.0.0/24")},
        .description = "lan (dm-test)"};
}

std::shared_ptr<SublinkNetwork> make(NetworkDriver& driver, const SublinkOptions& options) {
    auto made = driver.create(options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
    return made.ok() ? *made : nullptr;
}

// "wan0" is in the test's namespace, "wan1" in the machine's.
UniqueFd make_lan() {
    return make_outside_world();
}

bool kernel_has(const std::string& kind) {
    kernel::RouteSocket socket = kernel::RouteSocket::open().value();
    kernel::RouteBatch batch;
    batch.add_link({.name = "probe0", .kind = kind});
    const Result<void> made = socket.execute(batch);
    return made.ok() || made.error().error_number() != EOPNOTSUPP;
}

// The kinds that a kernel may lack: the virtual machine's has all.
NetworkVariant variant(
    const std::string& name, const SublinkOptions& options, const std::vector<std::string>& needs) {
    NetworkVariant made{
        .name = name,
        .make =
            [options](NetworkDriver& driver, bool v6) {
                SublinkOptions own = options;
                own.subnets[0].gateway = *IpAddress::parse("10.77.0.1");
                if (v6) {
                    own.subnets.push_back(subnet("fd00:77::/64"));
                    own.subnets[1].gateway = *IpAddress::parse("fd00:77::1");
                }
                return std::shared_ptr<Network>(make(driver, own));
            },
        .prepare_host = [] { static const UniqueFd machine = make_lan(); }};
    made.own_mac = options.kind == SublinkKind::Macvlan;
    made.is_possible = [needs] { return std::ranges::all_of(needs, kernel_has); };
    return made;
}

SublinkOptions ipvlan_options(SublinkMode mode) {
    SublinkOptions options = options_on("wan0");
    options.kind = SublinkKind::Ipvlan;
    options.mode = mode;
    return options;
}

INSTANTIATE_TEST_SUITE_P(
    Sublinks,
    NetworkContract,
    testing::Values(
        variant("macvlan", options_on("wan0"), {}),
        variant("macvlan_on_a_vlan", options_on("wan0.10"), {"vlan"}),
        variant("macvlan_without_parent", options_on(""), {"dummy"}),
        variant("ipvlan_l2", ipvlan_options(SublinkMode::L2), {"ipvlan"}),
        variant("ipvlan_l3", ipvlan_options(SublinkMode::L3), {"ipvlan"}),
        variant("ipvlan_l3s", ipvlan_options(SublinkMode::L3s), {"ipvlan"})),
    [](const auto& instance) { return instance.param.name; });

TEST(SublinkNetwork, PutsContainersOnTheParentsNetwork) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        SublinkOptions options = options_on("wan0");
        options.subnets = {subnet("10.99.0.0/24")};
        options.subnets[0].gateway = *IpAddress::parse("10.99.0.2"); // the machine
        options.reserved = {*IpAddress::parse("10.99.0.1")};
        const auto network = make(*driver, options);
        const Endpoint a = connect(*network, "a");
        EXPECT_EQ(a.ip.to_string(), "10.99.0.3");
        const EchoServer server(machine, Protocol::Udp, 80);
        EXPECT_EQ(ask(a.netns, Protocol::Udp, "10.99.0.2", 80), "10.99.0.3");
        EXPECT_THAT(inside(a, {"ip", "route"}), HasSubstr("default via 10.99.0.2 dev eth0"));
        const std::string link = inside(a, {"ip", "-d", "link", "show", "eth0"});
        EXPECT_THAT(link, HasSubstr("macvlan mode bridge"));
        EXPECT_THAT(link, HasSubstr(a.mac.to_string()));
        ASSERT_TRUE(driver->remove("dm-test").error().kind() == ErrorKind::Forbidden);
        ASSERT_TRUE(network->disconnect("a").ok());
        EXPECT_THAT(inside(a, {"ip", "link"}), Not(HasSubstr("eth0")));
        ASSERT_TRUE(driver->remove("dm-test").ok());
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), HasSubstr("wan0")) << "the parent is the host's";
    });
}

// Two of each family; the first IPv4 one has room for two endpoints, the first IPv6 one for one.
SublinkOptions options_with_subnets() {
    SublinkOptions options = options_on("wan0");
    options.subnets = {
        subnet("10.77.0.0/29"), subnet("10.78.0.0/16"), subnet("fd77::/64"), subnet("fd78::/96")};
    options.subnets[0].gateway = *IpAddress::parse("10.77.0.6");
    options.subnets[0].range = *IpPrefix::parse("10.77.0.0/30");
    options.subnets[1].range = *IpPrefix::parse("10.78.7.0/24");
    options.subnets[2].range = *IpPrefix::parse("fd77::/127");
    options.subnets[2].gateway = *IpAddress::parse("fd77::a");
    options.reserved = {*IpAddress::parse("10.77.0.2"), *IpAddress::parse("10.78.7.1")};
    return options;
}

TEST(SublinkNetwork, GivesAddressesOfItsSubnetsOneAfterTheOther) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        const auto network = make(*driver, options_with_subnets());
        const Endpoint a = connect(*network, "a");
        EXPECT_EQ(a.ip.to_string(), "10.77.0.1");
        EXPECT_EQ(a.prefix_length, 29);
        EXPECT_EQ(a.gateway.to_string(), "10.77.0.6");
        EXPECT_EQ(a.ip_v6->to_string(), "fd77::1");
        EXPECT_EQ(a.prefix_length_v6, 64);
        EXPECT_EQ(a.gateway_v6->to_string(), "fd77::a");
        const Endpoint b = connect(*network, "b");
        EXPECT_EQ(b.ip.to_string(), "10.77.0.3");
        EXPECT_EQ(b.ip_v6->to_string(), "fd78::2") << "the first subnet has no other";
        EXPECT_EQ(b.prefix_length_v6, 96);
        const Endpoint c = connect(*network, "c");
        EXPECT_EQ(c.ip.to_string(), "10.78.7.2");
        EXPECT_EQ(c.prefix_length, 16);
        EXPECT_EQ(c.gateway.to_string(), "10.78.7.0");
        EXPECT_THAT(inside(c, {"ip", "route"}), HasSubstr("default via 10.78.7.0 dev eth0"));
        EXPECT_THAT(inside(c, {"ip", "-6", "route"}), HasSubstr("default via fd78::1 dev eth0"));
        ASSERT_TRUE(network->disconnect("a").ok());
        EXPECT_EQ(connect(*network, "d").ip, a.ip) << "the first one has room again";
    });
}

TEST(SublinkNetwork, HasWantedAddressesOfAnySubnet) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        const auto network = make(*driver, options_with_subnets());
        const auto ask_for = [&](const std::string& id, const std::string& ip) {
            return network->connect(
                {.id = id, .container_name = id, .ports = {}, .ip = *IpAddress::parse(ip)});
        };
        const auto a = ask_for("a", "10.78.9.9");
        ASSERT_TRUE(a.ok()) << a.error().message();
        EXPECT_EQ(a->gateway.to_string(), "10.78.7.0");
        EXPECT_EQ(a->prefix_length, 16);
        for (const char* taken : {"10.78.9.9", "10.78.7.0", "10.78.7.1", "10.77.0.6"}) {
            EXPECT_EQ(ask_for("b", taken).error().message(), "Address already in use") << taken;
        }
        EXPECT_EQ(
            ask_for("b", "10.79.0.1").error().message(),
            "no configured subnet contains IP address 10.79.0.1");
    });
}

TEST(SublinkNetwork, SaysWhenAllItsSubnetsAreFull) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        SublinkOptions options = options_on("wan0");
        options.subnets = {subnet("10.77.0.0/30"), subnet("10.78.0.0/30")};
        const auto network = make(*driver, options);
        EXPECT_EQ(connect(*network, "a").ip.to_string(), "10.77.0.2");
        EXPECT_EQ(connect(*network, "b").ip.to_string(), "10.78.0.2");
        EXPECT_EQ(
            network->connect({.id = "c", .container_name = "c", .ports = {}}).error().message(),
            "no available IPv4 addresses on this network's address pools: lan (dm-test)");
    });
}

TEST(SublinkNetwork, KeepsNoAddressForAGatewayThatNobodyUses) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        SublinkOptions internal = options_on("wan0");
        internal.internal = true;
        internal.subnets.push_back(subnet("fd77::/64"));
        const auto first_place = [&](const SublinkOptions& options) {
            const auto network = make(*driver, options);
            Endpoint endpoint = connect(*network, "a");
            EXPECT_TRUE(endpoint.gateway.is_unspecified());
            EXPECT_FALSE(endpoint.gateway_v6);
            EXPECT_TRUE(network->disconnect("a").ok());
            EXPECT_TRUE(driver->remove("dm-test").ok());
            return endpoint;
        };
        EXPECT_EQ(first_place(internal).ip.to_string(), "10.77.0.1");
        EXPECT_EQ(first_place(internal).ip_v6->to_string(), "fd77::1");
        internal.subnets[0].gateway = *IpAddress::parse("10.77.0.1");
        EXPECT_EQ(first_place(internal).ip.to_string(), "10.77.0.2") << "it is named";
        if (kernel_has("dummy")) {
            EXPECT_EQ(first_place(options_on("")).ip.to_string(), "10.77.0.1");
        }
        if (kernel_has("ipvlan")) {
            const SublinkOptions layer3 = ipvlan_options(SublinkMode::L3);
            EXPECT_EQ(first_place(layer3).ip.to_string(), "10.77.0.1");
        }
    });
}

TEST(SublinkNetwork, RefusesSubnetsThatOverlapAndTakesNone) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        SublinkOptions options = options_on("wan0");
        options.subnets = {subnet("10.77.0.0/24"), subnet("10.78.0.0/16"), subnet("10.78.5.0/24")};
        const auto refused = driver->create(options);
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().kind(), ErrorKind::Forbidden);
        EXPECT_EQ(
            refused.error().message(),
            "invalid pool request: Pool overlaps with other one on this address space");
        options.subnets.pop_back();
        ASSERT_TRUE(make(*driver, options));
        ASSERT_TRUE(driver->remove("dm-test").ok());
        EXPECT_TRUE(make(*driver, options)) << "given back";
    });
}

TEST(SublinkNetwork, KeepsModes) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        for (const auto& [mode, text] :
             {std::pair(SublinkMode::Private, "private"),
              std::pair(SublinkMode::Vepa, "vepa"),
              std::pair(SublinkMode::Passthru, "passthru")}) {
            SublinkOptions options = options_on("wan0");
            options.mode = mode;
            const auto network = make(*driver, options);
            const Endpoint a = connect(*network, "a");
            EXPECT_THAT(
                inside(a, {"ip", "-d", "link", "show", "eth0"}),
                HasSubstr(std::string("macvlan mode ") + text));
            const auto second = network->connect({.id = "b", .container_name = "b", .ports = {}});
            EXPECT_EQ(second.ok(), mode != SublinkMode::Passthru);
            if (second.ok()) {
                // Neither mode lets containers of one host talk directly.
                const Result<Endpoint>& b = second;
                EXPECT_FALSE(reaches(a, b->ip.to_string()));
                ASSERT_TRUE(network->disconnect("b").ok());
            }
            ASSERT_TRUE(network->disconnect("a").ok());
            ASSERT_TRUE(driver->remove("dm-test").ok());
        }
    });
}

SublinkOptions second_options_on(const std::string& parent) {
    SublinkOptions options = options_on(parent);
    options.name = "dm-second";
    options.id = "second-id";
    options.subnets = {subnet("10.78.0.0/24")};
    return options;
}

TEST(SublinkNetwork, RefusesParentsThatAreNotThere) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        const auto first = make(*driver, options_on("wan0"));
        SublinkOptions second = second_options_on("wan0");
        for (const char* name : {"eth9", "eth9.10", "wan0.0", "wan0.5000", "wan0.x"}) {
            second.parent = name;
            EXPECT_EQ(
                driver->create(second).error().message(),
                std::string("invalid subinterface vlan name ") + name +
                    ", example formatting is eth0.10");
        }
        second.parent = "lo";
        EXPECT_EQ(
            driver->create(second).error().message(),
            "loopback interface is not a valid macvlan parent link");
        second.kind = SublinkKind::Ipvlan;
        EXPECT_EQ(
            driver->create(second).error().message(),
            "loopback interface is not a valid ipvlan parent link");
        second.kind = SublinkKind::Macvlan;
        second.parent = "";
        second.subnets = {subnet("10.77.0.0/25")};
        EXPECT_EQ(driver->create(second).error().kind(), ErrorKind::Forbidden) << "overlap";
    });
}

TEST(SublinkNetwork, SharesItsParentWithOthers) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        const auto first = make(*driver, options_on("wan0"));
        const auto second = make(*driver, second_options_on("wan0"));
        const Endpoint a = connect(*first, "a");
        const Endpoint b = connect(*second, "b");
        EXPECT_THAT(inside(b, {"ip", "route"}), HasSubstr("default via 10.78.0.1 dev eth0"));
        ASSERT_TRUE(second->disconnect("b").ok());
        ASSERT_TRUE(driver->remove("dm-second").ok());
        driver->wait_until_removed();
        EXPECT_TRUE(reaches(a, connect(*first, "c").ip.to_string()));
    });
}

TEST(SublinkNetwork, RefusesParentsThatAreTaken) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        const auto refusal = [&](const SublinkOptions& options) {
            const auto made = driver->create(options);
            return made.ok() ? std::string() : made.error().message();
        };
        SublinkOptions options = options_on("wan0");
        SublinkOptions second = second_options_on("wan0");
        second.mode = SublinkMode::Passthru;
        ASSERT_TRUE(make(*driver, options));
        EXPECT_EQ(
            refusal(second),
            "cannot use mode passthru, macvlan network test-id is already using parent interface "
            "wan0");
        ASSERT_TRUE(driver->remove("dm-test").ok());
        ASSERT_TRUE(make(*driver, second));
        EXPECT_EQ(
            refusal(options),
            "macvlan network second-id is already using parent interface wan0 in mode passthru");
        options = ipvlan_options(SublinkMode::L2);
        ASSERT_TRUE(make(*driver, options)) << "each driver knows its own networks";
        SublinkOptions third = ipvlan_options(SublinkMode::L3);
        third.name = "di-third";
        third.subnets = {subnet("10.79.0.0/24")};
        EXPECT_EQ(refusal(third), "network dm-test is already using parent interface wan0");
    });
}

// A dummy may be the parent of the network that it was made for, and of others by its name.
TEST(SublinkNetwork, KeepsAMadeParentUntilTheLastNetworkOnItGoes) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        for (const auto& [kind, parent] : {std::pair("vlan", "wan0.10"), std::pair("dummy", "")}) {
            if (!kernel_has(kind)) {
                continue; // the virtual machine's kernel has both
            }
            const std::string name = *parent == '\0' ? "dm-test" : parent;
            ASSERT_TRUE(make(*driver, options_on(parent)));
            const auto second = make(*driver, second_options_on(name));
            ASSERT_TRUE(driver->remove("dm-test").ok());
            driver->wait_until_removed();
            EXPECT_THAT(output_of({"ip", "link"}), HasSubstr(name));
            const Endpoint a = connect(*second, "a");
            EXPECT_TRUE(reaches(a, connect(*second, "b").ip.to_string()));
            ASSERT_TRUE(second->disconnect("a").ok());
            ASSERT_TRUE(second->disconnect("b").ok());
            ASSERT_TRUE(driver->remove("dm-second").ok());
            const auto again = make(*driver, options_on(parent));
            driver->wait_until_removed();
            EXPECT_THAT(output_of({"ip", "link"}), HasSubstr(name)) << "made again";
            connect(*again, "c");
            ASSERT_TRUE(again->disconnect("c").ok());
            ASSERT_TRUE(driver->remove("dm-test").ok());
            driver->wait_until_removed();
            EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr(name)));
        }
    });
}

TEST(SublinkNetwork, LeavesABridgeOfTheEnginesWhereItIs) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto bridge = create_default(*driver);
        ASSERT_TRUE(make(*driver, options_on("test0")));
        ASSERT_TRUE(driver->remove("dm-test").ok());
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), HasSubstr("test0"));
    });
}

TEST(SublinkNetwork, LeavesItsParentsRoutesToTheHost) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        ASSERT_EQ(output_of({"ip", "address", "add", "172.17.0.9/16", "dev", "wan0"}), "");
        const auto driver = start_driver();
        ASSERT_TRUE(make(*driver, options_on("wan0")));
        EXPECT_EQ(driver->pick_subnet()->to_string(), "172.18.0.0/16");
    });
}

TEST(SublinkNetwork, SaysWhatTheKernelLacks) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto lone = driver->create(options_on(""));
        EXPECT_EQ(lone.ok(), kernel_has("dummy"));
        if (lone.ok()) {
            EXPECT_TRUE(driver->remove("dm-test").ok());
            driver->wait_until_removed();
            EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("dm-test")));
        } else {
            EXPECT_THAT(lone.error().message(), HasSubstr("no dummy interfaces"));
        }
    });
}

TEST(SublinkNetwork, MakesVlansAndTakesThemAway) {
    in_new_network([] {
        if (!kernel_has("vlan")) {
            return; // the virtual machine's kernel has them
        }
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        ASSERT_TRUE(make(*driver, options_on("wan0.10")));
        EXPECT_THAT(
            output_of({"ip", "-d", "link", "show", "wan0.10"}),
            HasSubstr("vlan protocol 802.1Q id 10"));
        ASSERT_TRUE(driver->remove("dm-test").ok());
        driver->wait_until_removed();
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("wan0.10")));
    });
}

TEST(SublinkNetwork, HasIpvlanInAllModes) {
    in_new_network([] {
        if (!kernel_has("ipvlan")) {
            return; // the virtual machine's kernel has it
        }
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        for (const SublinkMode mode : {SublinkMode::L2, SublinkMode::L3, SublinkMode::L3s}) {
            SublinkOptions options = options_on("wan0");
            options.kind = SublinkKind::Ipvlan;
            options.mode = mode;
            const auto network = make(*driver, options);
            const Endpoint a = connect(*network, "a");
            const Endpoint b = connect(*network, "b");
            EXPECT_TRUE(reaches(a, b.ip.to_string()));
            EXPECT_EQ(a.mac, b.mac) << "the parent's";
            ASSERT_TRUE(network->disconnect("a").ok());
            ASSERT_TRUE(network->disconnect("b").ok());
            ASSERT_TRUE(driver->remove("dm-test").ok());
        }
    });
}

// "dev eth0" for a default route over the interface alone.
bool leads_out_over(const Endpoint& endpoint, const char* family) {
    const std::string routes = inside(endpoint, {"ip", family, "route", "show", "default"});
    EXPECT_THAT(routes, Not(HasSubstr("via")));
    return routes.starts_with("default dev eth0");
}

TEST(SublinkNetwork, LeadsOutByTheInterfaceInIpvlansLayer3Modes) {
    in_new_network([] {
        if (!kernel_has("ipvlan")) {
            return; // the virtual machine's kernel has it
        }
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        for (const SublinkMode mode : {SublinkMode::L3, SublinkMode::L3s}) {
            for (const auto& [v4, v6, internal] :
                 {std::tuple(true, true, false),
                  std::tuple(true, false, false),
                  std::tuple(false, true, false),
                  std::tuple(true, true, true)}) {
                SublinkOptions options = ipvlan_options(mode);
                options.subnets.clear();
                if (v4) {
                    options.subnets.push_back(subnet("10.77.0.0/24"));
                }
                if (v6) {
                    options.subnets.push_back(subnet("fd00:77::/64"));
                }
                options.internal = internal;
                const auto network = make(*driver, options);
                EXPECT_EQ(network->leads_out_by_interface(), !internal);
                const Endpoint a = connect(*network, "a");
                EXPECT_EQ(leads_out_over(a, "-4"), v4 && !internal);
                EXPECT_EQ(leads_out_over(a, "-6"), v6 && !internal);
                // Another network is the way out of one family, or of both.
                EndpointRequest request{.id = "b", .container_name = "b", .ports = {}};
                request.default_route = false;
                const Endpoint b = connect(*network, request);
                EXPECT_FALSE(leads_out_over(b, "-4"));
                EXPECT_EQ(leads_out_over(b, "-6"), v6 && !internal);
                request.id = "c";
                request.default_route_v6 = false;
                const Endpoint c = connect(*network, request);
                EXPECT_FALSE(leads_out_over(c, "-6"));
                for (const char* id : {"a", "b", "c"}) {
                    ASSERT_TRUE(network->disconnect(id).ok());
                }
                ASSERT_TRUE(driver->remove("dm-test").ok());
            }
        }
    });
}

TEST(SublinkNetwork, IsThereAgainAfterARestart) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        SublinkOptions options = options_on("wan0");
        options.subnets.push_back(subnet("10.78.0.0/24"));
        Endpoint a;
        Endpoint c;
        {
            const auto driver = start_driver();
            const auto network = make(*driver, options);
            a = connect(*network, "a");
            c = *network->connect(
                {.id = "c",
                 .container_name = "c",
                 .ports = {},
                 .ip = *IpAddress::parse("10.78.0.2")});
        }
        NetworkDriver::Options again;
        again.networks = {
            {.options = {},
             .endpoints =
                 {{.id = "a",
                   .container_name = "a",
                   .ip = a.ip,
                   .mac = a.mac,
                   .host_interface = a.host_interface,
                   .ports = {}},
                  {.id = "c",
                   .container_name = "c",
                   .ip = c.ip,
                   .mac = c.mac,
                   .host_interface = c.host_interface,
                   .ports = {}}},
             .sublink = options}};
        const auto driver = start_driver(again);
        const auto network = driver->find("dm-test");
        ASSERT_TRUE(network);
        EXPECT_EQ(network->endpoint_count(), 2U);
        const auto taken = network->connect(
            {.id = "d", .container_name = "d", .ports = {}, .ip = *IpAddress::parse("10.78.0.2")});
        EXPECT_EQ(taken.error().message(), "Address already in use");
        const Endpoint b = connect(*network, "b");
        EXPECT_NE(a.ip, b.ip);
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        network->adopt("a", a.netns, "eth0");
        ASSERT_TRUE(network->disconnect("a", Detach::Now).ok());
        EXPECT_THAT(inside(a, {"ip", "link"}), Not(HasSubstr("eth0")));
    });
}

} // namespace
} // namespace berth::network
