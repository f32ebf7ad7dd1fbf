// SPDX-License-Identifier: Apache-2.0
// Packets that an administrator has marked for containers (--bridge-accept-fwmark).
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

// A world outside that knows the way to the containers of test0.
struct Lab {
    UniqueFd outside = make_outside_world();
    std::unique_ptr<NetworkDriver> driver;
    std::shared_ptr<BridgeNetwork> network;

    explicit Lab(std::optional<PacketMark> mark, const BridgeOptions& options = usual_options()) {
        Endpoint far;
        far.netns = outside.duplicate().value();
        inside(far, {"ip", "address", "add", "fd99::2/64", "dev", "wan1", "nodad"});
        inside(far, {"ip", "route", "add", "172.17.0.0/16", "via", "10.99.0.1"});
        inside(far, {"ip", "route", "add", "fd00:17::/64", "via", "fd99::1"});
        output_of({"ip", "address", "add", "fd99::1/64", "dev", "wan0", "nodad"});
        driver = start_driver({.firewall = {.accepted_mark = mark}});
        network = create(*driver, options);
    }

    static BridgeOptions usual_options() {
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.subnet_v6 = *IpPrefix::parse("fd00:17::/64");
        return options;
    }
};

// What comes in by the interface bears the mark, from a chain of this hook.
void mark_what_comes_by(
    const std::string& interface, const std::string& mark, const std::string& hook) {
    output_of(
        {"nft",
         "add table inet marker; add chain inet marker " + interface + " { type filter hook " +
             hook + "; }; add rule inet marker " + interface + " iifname " + interface +
             " meta mark set " + mark});
}

void stop_marking() {
    output_of({"nft", "delete table inet marker"});
}

TEST(FirewallMark, OpensUnpublishedPortsToWhatBearsIt) {
    in_new_network([] {
        const Lab lab(PacketMark{.value = 2, .mask = 3});
        const Endpoint web = connect(*lab.network, "web");
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        mark_what_comes_by("wan0", "0xe", "prerouting priority raw");
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "10.99.0.2");
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, web.ip_v6->to_string(), 80), "fd99::2");
        stop_marking();
        mark_what_comes_by("wan0", "0xd", "prerouting priority raw");
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, web.ip_v6->to_string(), 80), "timeout");
    });
}

TEST(FirewallMark, WithoutAMaskIsTheWholeMark) {
    in_new_network([] {
        const Lab lab(PacketMark{.value = 2});
        const Endpoint web = connect(*lab.network, "web");
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        mark_what_comes_by("wan0", "0x6", "prerouting priority raw");
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        stop_marking();
        mark_what_comes_by("wan0", "0x2", "prerouting priority raw");
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "10.99.0.2");
    });
}

TEST(FirewallMark, IsNothingWhereNoneIsAccepted) {
    in_new_network([] {
        const Lab lab(std::nullopt);
        const Endpoint web = connect(*lab.network, "web");
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        mark_what_comes_by("wan0", "0x0", "prerouting priority raw");
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
    });
}

// The latest chain that Docker's documentation allows for setting it, written before ours or after.
TEST(FirewallMark, IsSeenFromAChainRightBeforeTheFilters) {
    in_new_network([] {
        mark_what_comes_by("wan0", "1", "forward priority filter - 1");
        const Lab lab(PacketMark{.value = 1});
        const Endpoint web = connect(*lab.network, "web");
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "10.99.0.2");
        stop_marking();
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        mark_what_comes_by("wan0", "1", "forward priority filter - 1");
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "10.99.0.2");
    });
}

TEST(FirewallMark, OpensTheWayBetweenNetworksAndContainersThatAreKeptApart) {
    in_new_network([] {
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.inter_container = false;
        const Lab lab(PacketMark{.value = 1}, options);
        const auto other_network = create(*lab.driver, bridge_options("test1", "172.18.0.0/16"));
        const Endpoint a = connect(*lab.network, "a");
        const Endpoint b = connect(*lab.network, "b");
        const Endpoint other = connect(*other_network, "other");
        const EchoServer server(b.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
        EXPECT_EQ(ask_in_vain(other.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
        mark_what_comes_by("test0", "1", "forward priority -10");
        mark_what_comes_by("test1", "1", "forward priority -10");
        EXPECT_EQ(ask(a.netns, Protocol::Tcp, "172.17.0.3", 80), "172.17.0.2");
        EXPECT_NE(ask(other.netns, Protocol::Tcp, "172.17.0.3", 80), "timeout");
    });
}

TEST(FirewallMark, DoesNotOpenInternalNetworks) {
    in_new_network([] {
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.internal = true;
        const Lab lab(PacketMark{.value = 1}, options);
        const Endpoint a = connect(*lab.network, "a");
        inside(a, {"ip", "route", "add", "default", "via", "172.17.0.1"});
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        const EchoServer world(lab.outside, Protocol::Tcp, 80);
        mark_what_comes_by("wan0", "1", "prerouting priority raw");
        mark_what_comes_by("test0", "1", "prerouting priority raw");
        EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "timeout");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Tcp, "10.99.0.2", 80), "timeout");
    });
}

// A FORWARD chain of iptables that drops, written before ours or after, lets through what we do.
TEST(FirewallMark, IsAcceptedByOthersChainsToo) {
    in_new_network([] {
        const std::string chain =
            "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority "
            "0; policy drop; }";
        output_of({"nft", chain});
        const Lab lab(PacketMark{.value = 1});
        const Endpoint web = connect(*lab.network, "web", {tcp(8080, 80)});
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        mark_what_comes_by("wan0", "1", "prerouting priority raw");
        for (int i = 0; i < 2; ++i) {
            EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "172.17.0.2", 80), "10.99.0.2");
            EXPECT_EQ(ask(lab.outside, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
            EXPECT_THAT(
                output_of({"nft", "list", "chain", "ip", "filter", "FORWARD"}),
                HasSubstr("accept"));
            output_of({"nft", "delete table ip filter; " + chain});
        }
    });
}

} // namespace
} // namespace berth::network
