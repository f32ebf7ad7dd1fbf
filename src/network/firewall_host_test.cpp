// SPDX-License-Identifier: Apache-2.0
// The firewall beside the host's own rules: when they are flushed, and when they are to be obeyed.
#include "kernel/netlink_namespace.h"
#include "kernel/netlink_test_support.h"
#include "network/firewall_judge.h"
#include "network/firewall_test_support.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include <unistd.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;
using testing::Not;
using Clock = std::chrono::steady_clock;

std::string ruleset() {
    return output_of({"nft", "list", "ruleset"});
}

std::chrono::milliseconds wait_for_ruleset(const std::string& wanted) {
    const Clock::time_point start = Clock::now();
    while (ruleset() != wanted && Clock::now() - start < std::chrono::seconds(10)) {
        std::this_thread::yield();
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
}

TEST(FirewallWatch, WritesTheRulesAgainWhenTheyAreFlushed) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        const Endpoint web = lab.add_container(1, 2);
        lab.publish(8080, 80, 1, 2);
        const std::string before = ruleset();
        for (const char* removal :
             {"flush ruleset",
              "delete table inet lab",
              "delete table bridge lab",
              "flush chain inet lab forward",
              "delete element inet lab ports4 { tcp . 8080 : 172.17.0.2 . 80 }"}) {
            output_of({"nft", removal});
            const std::chrono::milliseconds time = wait_for_ruleset(before);
            EXPECT_LT(time.count(), 3000) << removal;
            EXPECT_EQ(ruleset(), before) << removal;
        }
    });
}

TEST(FirewallWatch, LeavesWhatOthersDoToTheirOwnTables) {
    in_new_network([] {
        FirewallLab lab;
        output_of({"nft", "add table inet other; add chain inet other a; delete table inet other"});
        lab.add_bridge(1, {});
        // Rules of somebody else in our table stay as long as nothing is removed.
        output_of({"nft", "add chain inet lab foreign"});
        output_of({"nft", "add table inet other; delete table inet other"});
        lab.add_bridge(2, {});
        EXPECT_THAT(ruleset(), HasSubstr("chain foreign"));
    });
}

TEST(FirewallWatch, EndsWithTheTables) {
    in_new_network([] {
        FirewallLab lab;
        ASSERT_TRUE(lab.firewall.remove().ok());
        output_of({"nft", "add table inet lab; delete table inet lab"});
        lab.add_bridge(1, {});
        EXPECT_EQ(ruleset(), "");
    });
}

// ufw as it stands after `ufw enable`: iptables' FORWARD drops.
constexpr char ufw_rules[] =
    "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; "
    "policy "
    "drop; }; add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward "
    "priority 0; policy drop; }; add chain ip filter ufw-before-forward; add rule ip filter "
    "FORWARD "
    "counter jump ufw-before-forward";

TEST(FirewallBesideUfw, GetsContainersTrafficThroughAndNobodyElses) {
    in_new_network([] {
        FirewallLab lab;
        lab.add_bridge(1, {});
        lab.add_bridge(2, {});
        const Endpoint web = lab.add_container(1, 2);
        const Endpoint other = lab.add_container(2, 2);
        lab.publish(8080, 80, 1, 2);
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        const EchoServer world(lab.outside, Protocol::Tcp, 80);
        const auto comments = [] {
            const std::string rules = output_of({"nft", "list", "table", "ip", "filter"});
            std::size_t count = 0;
            for (std::size_t at = rules.find("comment"); at != std::string::npos; ++count) {
                at = rules.find("comment", at + 1);
            }
            return count;
        };
        // It comes after us, and is loaded again: the way through is there once, each time.
        for (int again = 0; again < 2; ++again) {
            output_of({"nft", ufw_rules});
            const Clock::time_point start = Clock::now();
            while (comments() == 0 && Clock::now() - start < std::chrono::seconds(10)) {
                std::this_thread::yield();
            }
            EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), outside_v4);
            EXPECT_EQ(ask(web.netns, Protocol::Tcp, outside_v4, 80), host_v4);
            EXPECT_EQ(ask(web.netns, Protocol::Tcp, outside_v6, 80), host_v6);
            EXPECT_EQ(ask_in_vain(other.netns, Protocol::Tcp, "172.17.0.2", 80), "timeout");
            EXPECT_EQ(comments(), 1U);
        }
        EXPECT_TRUE(lab.firewall.foreign_obstacles()->empty());
        // What is none of ours stays dropped: between two other interfaces of the host.
        Endpoint stranger;
        stranger.netns = kernel::NetworkNamespaceScope::enter_new().value().take();
        inside(
            stranger,
            {"ip",
             "link",
             "add",
             "eth0",
             "type",
             "veth",
             "peer",
             "name",
             "lan0",
             "netns",
             "/proc/" + std::to_string(::getpid()) + "/ns/net"});
        output_of({"ip", "address", "add", "10.98.0.1/24", "dev", "lan0"});
        output_of({"ip", "link", "set", "lan0", "up"});
        inside(stranger, {"ip", "address", "add", "10.98.0.2/24", "dev", "eth0"});
        inside(stranger, {"ip", "link", "set", "eth0", "up"});
        inside(stranger, {"ip", "route", "add", "default", "via", "10.98.0.1"});
        EXPECT_EQ(ask_in_vain(stranger.netns, Protocol::Tcp, outside_v4, 80), "timeout");
        ASSERT_TRUE(lab.firewall.remove().ok());
        EXPECT_EQ(comments(), 0U);
    });
}

// A host with a published port 8080 and 8081 and the given nft rules.
void with_host_rules(
    const std::string& rules,
    const std::function<void(FirewallLab& lab, const Endpoint& web)>& body) {
    in_new_network([&] {
        FirewallLab lab(HostFirewall::Respected);
        output_of({"nft", rules});
        lab.add_bridge(1, {});
        const Endpoint web = lab.add_container(1, 2);
        lab.publish(8080, 80, 1, 2);
        lab.publish(8081, 80, 1, 2);
        body(lab, web);
    });
}

constexpr char plain_rules[] =
    "add table inet host; add chain inet host input { type filter hook input priority 0; policy "
    "drop; }; add rule inet host input ct state established,related accept; add rule inet host "
    "input iif lo accept; add rule inet host input icmpv6 type { nd-neighbor-solicit, "
    "nd-neighbor-advert } accept; ";

TEST(FirewallRespect, OpensAPortWhereTheHostLetsItIn) {
    with_host_rules(
        std::string(plain_rules) + "add rule inet host input th dport 8080 accept",
        [](FirewallLab& lab, const Endpoint& web) {
            for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
                const EchoServer server(web.netns, protocol, 80);
                for (int again = 0; again < 2; ++again) {
                    EXPECT_EQ(ask(lab.outside, protocol, host_v4, 8080), outside_v4);
                    EXPECT_EQ(ask(lab.outside, protocol, host_v6, 8080), outside_v6);
                    EXPECT_EQ(ask_in_vain(lab.outside, protocol, host_v4, 8081), "timeout");
                    EXPECT_EQ(ask_in_vain(lab.outside, protocol, host_v6, 8081), "timeout");
                }
                // The host itself is not outside.
                EXPECT_EQ(ask(here, protocol, "127.0.0.1", 8081), "172.17.0.1");
                EXPECT_EQ(ask(here, protocol, host_v4, 8081), host_v4);
            }
        });
}

TEST(FirewallRespect, IsOpenWithoutRulesAndWithStrictReturnPaths) {
    with_host_rules("add table inet host", [](FirewallLab& lab, const Endpoint& web) {
        output_of({"sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"});
        const Endpoint neighbor = lab.add_container(1, 3);
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), outside_v4);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8080), outside_v6);
        EXPECT_EQ(ask(neighbor.netns, Protocol::Tcp, host_v4, 8080), "172.17.0.1");
        lab.withdraw(8080, 80, 1, 2);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), "refused");
    });
}

TEST(FirewallRespect, LetsTheHostRefuseInItsOwnWords) {
    with_host_rules(
        std::string(plain_rules) +
            "add rule inet host input tcp dport 8080 reject with tcp reset; add rule inet host "
            "input ip saddr 10.99.0.2 tcp dport 8081 accept",
        [](FirewallLab& lab, const Endpoint& web) {
            const EchoServer server(web.netns, Protocol::Tcp, 80);
            EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), "refused");
            EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8081), outside_v4);
            EXPECT_EQ(ask_in_vain(lab.outside, Protocol::Tcp, host_v6, 8081), "timeout");
        });
}

// As firewalld 1.3 writes it (its own rules beside: shortened to what decides).
constexpr char firewalld_rules[] = R"(
table inet firewalld {
    chain filter_PREROUTING {
        type filter hook prerouting priority filter + 10; policy accept;
        icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
        meta nfproto ipv6 fib saddr . mark . iif oif missing drop
    }
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        jump filter_INPUT_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT_ZONES { goto filter_IN_public; }
    chain filter_IN_public {
        jump filter_IN_public_allow
        meta l4proto { icmp, ipv6-icmp } accept
        reject with icmpx admin-prohibited
    }
    chain filter_IN_public_allow { tcp dport 8080 accept; }
})";

TEST(FirewallRespect, AgreesWithFirewalld) {
    with_host_rules(firewalld_rules, [](FirewallLab& lab, const Endpoint& web) {
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), outside_v4);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8080), outside_v6);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8081), "unreachable");
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v6, 8081), "unreachable");
        // Its forward chain refuses what is in no zone; what we let through passes.
        const EchoServer world(lab.outside, Protocol::Udp, 53);
        EXPECT_EQ(ask(web.netns, Protocol::Udp, outside_v4, 53), host_v4);
        // As `firewall-cmd --add-port` and a reload do.
        output_of({"nft", "add rule inet firewalld filter_IN_public_allow tcp dport 8081 accept"});
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8081), outside_v4);
    });
}

TEST(FirewallRespect, SurvivesAFlushAndTheLossOfItsInterfaces) {
    with_host_rules(plain_rules, [](FirewallLab& lab, const Endpoint& web) {
        const std::string links = output_of({"ip", "-o", "link"});
        const std::size_t place = links.find("judge-");
        ASSERT_NE(place, std::string::npos);
        output_of({"ip", "link", "del", links.substr(place, 14)});
        output_of({"nft", "flush ruleset"});
        const auto written = [] {
            return ruleset().find("chain postrouting") != std::string::npos;
        };
        const Clock::time_point start = Clock::now();
        while (!written() && Clock::now() - start < std::chrono::seconds(10)) {
            std::this_thread::yield();
        }
        const EchoServer server(web.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(lab.outside, Protocol::Tcp, host_v4, 8080), outside_v4);
        EXPECT_THAT(output_of({"ip", "-6", "rule"}), HasSubstr("fwmark"));
        ASSERT_TRUE(lab.firewall.remove().ok());
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("judge-")));
        EXPECT_THAT(output_of({"ip", "-6", "rule"}), Not(HasSubstr("fwmark")));
    });
}

TEST(FirewallRespect, LeavesNothingToAnEngineThatDoesNot) {
    in_new_network([] {
        ASSERT_TRUE(ensure_firewall_judge("lab").ok());
        EXPECT_THAT(output_of({"ip", "link"}), HasSubstr("judge-"));
        Firewall next = Firewall::open("lab").value();
        ASSERT_TRUE(next.rebuild().ok());
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("judge-")));
    });
}

} // namespace
} // namespace berth::network
