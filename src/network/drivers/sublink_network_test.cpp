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

SublinkOptions options_on(const std::string& parent) {
    return {
        .name = "dm-test",
        .parent = parent,
        .subnet = *IpPrefix::parse("10.77.0.0/24"),
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
                if (v6) {
                    own.subnet_v6 = *IpPrefix::parse("fd00:77::/64");
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
        options.subnet = *IpPrefix::parse("10.99.0.0/24");
        options.gateway = *IpAddress::parse("10.99.0.2"); // the machine
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

TEST(SublinkNetwork, RefusesParentsThatAreTakenOrNotThere) {
    in_new_network([] {
        const UniqueFd machine = make_lan();
        const auto driver = start_driver();
        const auto first = make(*driver, options_on("wan0"));
        SublinkOptions second = options_on("wan0");
        second.name = "dm-second";
        second.subnet = *IpPrefix::parse("10.78.0.0/24");
        EXPECT_EQ(
            driver->create(second).error().message(),
            "network dm-test is already using parent interface wan0");
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
        second.subnet = *IpPrefix::parse("10.77.0.0/25");
        EXPECT_EQ(driver->create(second).error().kind(), ErrorKind::Forbidden) << "overlap";
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
                options.subnet = v4 ? options.subnet : IpPrefix();
                if (v6) {
                    options.subnet_v6 = *IpPrefix::parse("fd00:77::/64");
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
        const SublinkOptions options = options_on("wan0");
        Endpoint a;
        {
            const auto driver = start_driver();
            a = connect(*make(*driver, options), "a");
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
                   .ports = {}}},
             .sublink = options}};
        const auto driver = start_driver(again);
        const auto network = driver->find("dm-test");
        ASSERT_TRUE(network);
        EXPECT_EQ(network->endpoint_count(), 1U);
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
