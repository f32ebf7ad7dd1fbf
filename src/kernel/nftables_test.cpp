// SPDX-License-Identifier: Apache-2.0
// What we write is compared with what nft(8) makes of it.
#include "kernel/netlink_test_support.h"
#include "kernel/nftables.h"
#include "kernel/nftables_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>

#include <cerrno>

namespace berth::kernel {
namespace {

using testing::HasSubstr;
using testing::Not;

NetlinkSocket open_netfilter_socket() {
    return NetlinkSocket::open(netfilter_protocol).value();
}

void commit(NetlinkSocket& socket, NftBatch& batch) {
    const Result<void> done = batch.commit(socket);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
}

std::string listing() {
    return output_of({"nft", "list", "ruleset"});
}

TEST(NftBatch, RewritesPortsAtADevicesIngress) {
    in_new_network([] {
        NetlinkSocket socket = open_netfilter_socket();
        NftBatch batch("test", NftFamily::NetDevice);
        batch.add_table();
        batch.add_base_chain(
            "in", {.type = "filter", .hook = NftHook::Ingress, .priority = 0, .device = "lo"});
        const IpPrefix address = *IpPrefix::parse("127.0.0.11/32");
        batch.rule("in")
            .if_ether_type(ETH_P_IP)
            .if_destination_in(address)
            .if_protocol(17)
            .if_destination_port(53)
            .set_destination_port(17, 40001);
        batch.rule("in")
            .if_ether_type(ETH_P_IP)
            .if_source_in(address)
            .if_protocol(6)
            .if_source_port(40001)
            .set_source_port(6, 53);
        commit(socket, batch);
        const std::string text = listing();
        EXPECT_THAT(text, HasSubstr("type filter hook ingress device \"lo\" priority filter"));
        EXPECT_THAT(text, HasSubstr("ip daddr 127.0.0.11 udp dport 53 udp dport set 40001"));
        EXPECT_THAT(text, HasSubstr("ip saddr 127.0.0.11 tcp sport 40001 tcp sport set 53"));
    });
}

TEST(NftBatch, WritesRulesThatNftReadsTheSame) {
    in_new_network([] {
        NetlinkSocket socket = open_netfilter_socket();
        NftBatch batch("test");
        batch.add_table();
        batch.add_set({.name = "bridges", .key = {NftType::InterfaceName}, .data = {}});
        batch.add_set(
            {.name = "pairs", .key = {NftType::InterfaceName, NftType::InterfaceName}, .data = {}});
        batch.add_elements("bridges", {{.key = NftValue().interface("br0"), .data = {}}});
        batch.add_elements(
            "pairs", {{.key = NftValue().interface("br0").interface("br1"), .data = {}}});
        batch.add_chain("other");
        batch.add_base_chain(
            "forward", {.type = "filter", .hook = NftHook::Forward, .priority = -5});
        batch.rule("forward").if_established().accept();
        batch.rule("forward").if_input_and_output_in("pairs").accept();
        batch.rule("forward").if_input_in("bridges").drop();
        batch.rule("forward").if_output_in("bridges").if_destination_changed().accept();
        batch.add_base_chain(
            "post", {.type = "nat", .hook = NftHook::Postrouting, .priority = 100});
        batch.rule("post")
            .if_source_in(*IpPrefix::parse("172.17.0.0/16"))
            .if_input_is_not("br0")
            .masquerade();
        batch.rule("post")
            .if_source_in(*IpPrefix::parse("10.0.0.128/25"))
            .if_destination_in(*IpPrefix::parse("1.2.3.4/32"))
            .if_input_is("br0")
            .drop();
        batch.add_base_chain("pre", {.type = "nat", .hook = NftHook::Prerouting, .priority = -100});
        batch.rule("pre").if_destination_is_local().jump("other");
        commit(socket, batch);
        const std::string text = listing();
        for (const char* line : {
                 "set bridges {\n\t\ttype ifname\n\t\telements = { \"br0\" }\n",
                 "elements = { \"br0\" . \"br1\" }\n",
                 "type ifname . ifname\n",
                 "type filter hook forward priority filter - 5; policy accept;",
                 "type nat hook postrouting priority srcnat; policy accept;",
                 "type nat hook prerouting priority dstnat; policy accept;",
                 "\t\tct state established,related accept\n",
                 "\t\tiifname . oifname @pairs accept\n",
                 "\t\tiifname @bridges drop\n",
                 "\t\toifname @bridges ct status dnat accept\n",
                 "\t\tip saddr 172.17.0.0/16 iifname != \"br0\" masquerade\n",
                 "\t\tip saddr 10.0.0.128/25 ip daddr 1.2.3.4 iifname \"br0\" drop\n",
                 "\t\tfib daddr type local jump other\n",
             }) {
            EXPECT_THAT(text, HasSubstr(line));
        }
    });
}

TEST(NftBatch, WritesRulesOfBothFamiliesThatNftReadsTheSame) {
    in_new_network([] {
        NetlinkSocket socket = open_netfilter_socket();
        NftBatch batch("test");
        batch.add_table();
        batch.add_set(
            {.name = "members", .key = {NftType::Ipv6Address, NftType::InterfaceName}, .data = {}});
        batch.add_set(
            {.name = "ports",
             .key = {NftType::Ipv6Address, NftType::Protocol, NftType::Port},
             .data = {NftType::Ipv6Address, NftType::Port}});
        batch.add_set(
            {.name = "sources", .key = {NftType::InterfaceName}, .data = {NftType::Ipv4Address}});
        batch.add_base_chain(
            "post", {.type = "nat", .hook = NftHook::Postrouting, .priority = 100});
        batch.rule("post").if_source_and_output_in(IpFamily::V6, "members").masquerade();
        batch.rule("post").if_source_in(*IpPrefix::parse("fd00::/20")).return_to_caller();
        batch.rule("post").snat_by_input(IpFamily::V4, "sources");
        batch.add_base_chain("pre", {.type = "nat", .hook = NftHook::Prerouting, .priority = -100});
        batch.rule("pre").dnat(IpFamily::V6, NftPortKey::AddressProtocolAndPort, "ports");
        batch.add_base_chain("in", {.type = "filter", .hook = NftHook::Input, .priority = 0});
        batch.rule("in")
            .if_input_is_not("lo")
            .if_protocol(58)
            .if_icmp_type(128)
            .add_to_mark(8)
            .accept();
        batch.rule("in").if_mark_has(8).reject();
        batch.rule("in").if_destination_is_not_of_the_link().if_new().drop();
        batch.rule_at_head("in", "ours").if_mark_is(5).set_mark(6).accept();
        commit(socket, batch);
        NftBatch other("test", NftFamily::Ipv4);
        other.add_table();
        other.add_base_chain("in", {.type = "filter", .hook = NftHook::Input, .priority = 0});
        other.rule("in").duplicate_to(*IpAddress::parse("169.254.0.1"), 1).drop();
        commit(socket, other);
        const std::string text = listing();
        for (const char* line : {
                 "\t\tip6 saddr . oifname @members masquerade\n",
                 "\t\tip6 saddr fd00::/20 return\n",
                 "\t\tmeta nfproto ipv4 snat ip to iifname map @sources\n",
                 "\t\tdnat ip6 to ip6 daddr . meta l4proto . th dport map @ports\n",
                 "icmpv6 type echo-request meta mark set meta mark | 0x00000008 accept\n",
                 "\t\tmeta mark & 0x00000008 == 0x00000008 reject\n",
                 "fib daddr type local fib daddr . iif type != local ct state new drop\n",
                 "meta mark 0x00000005 meta mark set 0x00000006 accept comment \"ours\"\n",
                 "\t\tdup to 169.254.0.1 device \"lo\" drop\n",
             }) {
            EXPECT_THAT(text, HasSubstr(line));
        }
    });
}

TEST(NftRules, AreFoundByTheirCommentAndDeletedByTheirHandle) {
    in_new_network([] {
        output_of(
            {"nft",
             "add table ip filter; add chain ip filter FORWARD; add rule ip filter FORWARD accept; "
             "add rule ip filter FORWARD drop comment \"ours\""});
        NetlinkSocket socket = open_netfilter_socket();
        const auto rules = list_nft_rules(socket, NftFamily::Ipv4, "filter", "FORWARD");
        ASSERT_TRUE(rules.ok());
        ASSERT_EQ(rules->size(), 2U);
        EXPECT_EQ(rules->at(0).comment, "");
        EXPECT_EQ(rules->at(1).comment, "ours");
        NftBatch batch("filter", NftFamily::Ipv4);
        batch.delete_rule("FORWARD", rules->at(1).handle);
        commit(socket, batch);
        EXPECT_THAT(listing(), Not(HasSubstr("ours")));
        EXPECT_THAT(listing(), HasSubstr("accept"));
        EXPECT_TRUE(list_nft_rules(socket, NftFamily::Ipv4, "filter", "absent")->empty());
    });
}

NftBatch table_with_maps() {
    NftBatch batch("test");
    batch.add_table();
    batch.add_set(
        {.name = "ports",
         .key = {NftType::Protocol, NftType::Port},
         .data = {NftType::Ipv4Address, NftType::Port}});
    batch.add_set(
        {.name = "by_address",
         .key = {NftType::Ipv4Address, NftType::Protocol, NftType::Port},
         .data = {NftType::Ipv4Address, NftType::Port}});
    batch.add_base_chain("pre", {.type = "nat", .hook = NftHook::Prerouting, .priority = -100});
    batch.rule("pre").dnat(IpFamily::V4, NftPortKey::AddressProtocolAndPort, "by_address");
    batch.rule("pre").dnat(IpFamily::V4, NftPortKey::ProtocolAndPort, "ports");
    return batch;
}

NftElement element(std::uint16_t port) {
    return {
        .key = NftValue().protocol(6).port(port),
        .data = NftValue().address(*IpAddress::parse("172.17.0.2")).port(80)};
}

TEST(NftBatch, PublishesPortsAsElementsOfMaps) {
    in_new_network([] {
        NetlinkSocket socket = open_netfilter_socket();
        NftBatch batch = table_with_maps();
        batch.add_elements("ports", {element(8080)});
        batch.add_elements(
            "by_address",
            {{.key = NftValue().address(*IpAddress::parse("127.0.0.1")).protocol(17).port(53),
              .data = NftValue().address(*IpAddress::parse("172.17.0.3")).port(5353)}});
        commit(socket, batch);
        const std::string text = listing();
        EXPECT_THAT(text, HasSubstr("dnat ip to meta l4proto . th dport map @ports"));
        EXPECT_THAT(
            text, HasSubstr("dnat ip to ip daddr . meta l4proto . th dport map @by_address"));
        EXPECT_THAT(text, HasSubstr("tcp . 8080 : 172.17.0.2 . 80"));
        EXPECT_THAT(text, HasSubstr("127.0.0.1 . udp . 53 : 172.17.0.3 . 5353"));

        NftBatch removal("test");
        removal.delete_elements("ports", {element(8080)});
        commit(socket, removal);
        EXPECT_THAT(listing(), Not(HasSubstr("8080")));
    });
}

TEST(NftBatch, CarriesThousandsOfElementsInOneTransaction) {
    in_new_network([] {
        NetlinkSocket socket = open_netfilter_socket();
        NftBatch batch = table_with_maps();
        std::vector<NftElement> elements;
        for (std::uint16_t port = 10000; port < 30000; ++port) {
            elements.push_back(element(port));
        }
        batch.add_elements("ports", elements);
        commit(socket, batch);
        const std::string text = listing();
        EXPECT_THAT(text, HasSubstr("tcp . 10000 :"));
        EXPECT_THAT(text, HasSubstr("tcp . 29999 :"));
    });
}

TEST(NftBatch, DoesNothingWhenOnePartFails) {
    in_new_network([] {
        NetlinkSocket socket = open_netfilter_socket();
        NftBatch table = table_with_maps();
        commit(socket, table);
        NftBatch batch("test");
        batch.add_elements("ports", {element(1)});
        batch.delete_elements("ports", {element(2)});
        batch.add_elements("ports", {element(3)});
        const Result<void> done = batch.commit(socket);
        ASSERT_FALSE(done.ok());
        EXPECT_EQ(done.error().error_number(), ENOENT);
        EXPECT_THAT(done.error().message(), HasSubstr("change elements of set ports (table test)"));
        EXPECT_THAT(listing(), Not(HasSubstr("tcp . 1 ")));
        // The socket is in step again: the next transaction's answer is its own.
        NftBatch next("test");
        next.add_elements("ports", {element(4)});
        commit(socket, next);
    });
}

TEST(NftBatch, ReplacesATableInOneTransaction) {
    in_new_network([] {
        NetlinkSocket socket = open_netfilter_socket();
        for (int i = 0; i < 2; ++i) {
            NftBatch batch("test");
            batch.add_table();
            batch.delete_table();
            batch.add_table();
            batch.add_chain("chain" + std::to_string(i));
            commit(socket, batch);
        }
        EXPECT_THAT(listing(), HasSubstr("chain1"));
        EXPECT_THAT(listing(), Not(HasSubstr("chain0")));
        NftBatch removal("test");
        removal.delete_table();
        commit(socket, removal);
        EXPECT_EQ(listing(), "");
    });
}

TEST(NftChains, ListsWhatOthersMade) {
    in_new_network([] {
        output_of(
            {"nft",
             "add table inet host; add chain inet host f { type filter hook forward "
             "priority 0; policy drop; }"});
        NetlinkSocket socket = open_netfilter_socket();
        const Result<std::vector<NftChainInfo>> chains = list_nft_chains(socket);
        ASSERT_TRUE(chains.ok());
        ASSERT_EQ(chains->size(), 1U);
        EXPECT_EQ(chains->at(0).table, "host");
        EXPECT_EQ(chains->at(0).name, "f");
        EXPECT_EQ(chains->at(0).hook, 2U);
        EXPECT_EQ(chains->at(0).policy, 0U);
    });
}

} // namespace
} // namespace berth::kernel
