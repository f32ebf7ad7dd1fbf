// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_test_support.h"
#include "network/subnet_pools.h"

#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::IpFamily;
using kernel::IpPrefix;
using kernel::output_of;
using kernel::RouteSocket;

IpPrefix prefix(const std::string& text) {
    return IpPrefix::parse(text).value();
}

struct Given {
    SubnetPools pools;
    RouteSocket host = RouteSocket::open().value();

    explicit Given(const std::vector<SubnetPool>& configured)
        : pools(SubnetPools::create(configured).value()) {}

    std::string pick(IpFamily family = IpFamily::V4) {
        auto picked = pools.pick(family, {}, host);
        return picked.ok() ? picked->to_string() : picked.error().message();
    }

    std::string take() {
        std::string picked = pick();
        EXPECT_TRUE(pools.take(prefix(picked)).ok());
        return picked;
    }
};

TEST(SubnetPools, GiveTheFirstFreeSubnetAndRefuseOverlaps) {
    in_new_network([] {
        Given given({{.base = prefix("10.0.0.0/22"), .size = 24}});
        EXPECT_EQ(given.take(), "10.0.0.0/24");
        EXPECT_EQ(given.take(), "10.0.1.0/24");
        const Result<void> wide = given.pools.take(prefix("10.0.0.0/8"));
        ASSERT_FALSE(wide.ok());
        EXPECT_EQ(wide.error().kind(), ErrorKind::Forbidden);
        EXPECT_FALSE(given.pools.take(prefix("10.0.1.128/25")).ok());
        ASSERT_TRUE(given.pools.take(prefix("10.0.2.7/32")).ok());
        EXPECT_EQ(given.take(), "10.0.3.0/24");
        EXPECT_EQ(given.pick(), "all predefined address pools have been fully subnetted");
        given.pools.give_back(prefix("10.0.1.0/24"));
        EXPECT_EQ(given.pick(), "10.0.1.0/24");
        given.pools.give_back(prefix("10.0.0.0/24"));
        EXPECT_EQ(given.take(), "10.0.0.0/24");
        EXPECT_EQ(given.take(), "10.0.1.0/24");
    });
}

TEST(SubnetPools, SeeRoutesThatComeAndGo) {
    in_new_network([] {
        Given given({{.base = prefix("10.0.0.0/16"), .size = 24}});
        EXPECT_EQ(given.pick(), "10.0.0.0/24");
        output_of({"ip", "link", "add", "other", "type", "bridge"});
        output_of({"ip", "link", "set", "other", "up"});
        output_of({"ip", "route", "add", "10.0.0.64/30", "dev", "other"});
        EXPECT_EQ(given.pick(), "10.0.1.0/24");
        output_of({"ip", "route", "add", "10.0.0.0/23", "dev", "other"});
        EXPECT_EQ(given.pick(), "10.0.2.0/24");
        output_of({"ip", "route", "delete", "10.0.0.0/23", "dev", "other"});
        output_of({"ip", "route", "delete", "10.0.0.64/30", "dev", "other"});
        EXPECT_EQ(given.pick(), "10.0.0.0/24");
    });
}

TEST(SubnetPools, KeepTheFamiliesApart) {
    in_new_network([] {
        Given given(
            {{.base = prefix("10.0.0.0/8"), .size = 24},
             {.base = prefix("a00::/48"), .size = 64}}); // begins with the same bytes
        EXPECT_EQ(given.take(), "10.0.0.0/24");
        EXPECT_EQ(given.pick(IpFamily::V6), "a00::/64");
        ASSERT_TRUE(given.pools.take(prefix("a00::/64")).ok());
        EXPECT_EQ(given.pick(IpFamily::V6), "a00:0:0:1::/64");
        EXPECT_EQ(given.take(), "10.0.1.0/24");
    });
}

} // namespace
} // namespace berth::network
