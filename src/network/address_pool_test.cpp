// SPDX-License-Identifier: Apache-2.0
#include "network/address_pool.h"

#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::IpPrefix;

AddressPool pool_of(const std::string& subnet) {
    return AddressPool::create(*IpPrefix::parse(subnet)).value();
}

std::string next(AddressPool& pool) {
    const Result<IpAddress> address = pool.allocate();
    return address.ok() ? address.value().to_string() : address.error().message();
}

TEST(AddressPool, GivesTheLowestFreeAddress) {
    AddressPool pool = pool_of("172.17.0.0/16");
    ASSERT_TRUE(pool.reserve(*IpAddress::parse("172.17.0.1")).ok());
    EXPECT_EQ(next(pool), "172.17.0.2");
    EXPECT_EQ(next(pool), "172.17.0.3");
    pool.release(*IpAddress::parse("172.17.0.2"));
    EXPECT_EQ(next(pool), "172.17.0.2");
    EXPECT_EQ(next(pool), "172.17.0.4");
}

TEST(AddressPool, NeverGivesTheNetworkOrBroadcastAddress) {
    AddressPool pool = pool_of("10.0.0.0/30");
    EXPECT_EQ(next(pool), "10.0.0.1");
    EXPECT_EQ(next(pool), "10.0.0.2");
    EXPECT_EQ(
        next(pool), "no available IPv4 addresses on this network's address pools: 10.0.0.0/30");
    for (const char* address : {"10.0.0.0", "10.0.0.3"}) {
        const Result<void> reserved = pool.reserve(*IpAddress::parse(address));
        ASSERT_FALSE(reserved.ok());
        EXPECT_EQ(reserved.error().message(), "Address already in use");
    }
}

// RFC 3021, RFC 6164.
TEST(AddressPool, GivesBothAddressesOfASubnetOfTwo) {
    AddressPool pool = pool_of("10.0.0.0/31");
    EXPECT_EQ(next(pool), "10.0.0.0");
    EXPECT_EQ(next(pool), "10.0.0.1");
    EXPECT_FALSE(pool.allocate().ok());
    AddressPool pool_v6 = pool_of("fd00::/127");
    EXPECT_EQ(next(pool_v6), "fd00::");
    EXPECT_EQ(next(pool_v6), "fd00::1");
}

TEST(AddressPool, FindsAnAddressThatCameBackToAFullPool) {
    AddressPool pool = pool_of("10.0.0.0/29");
    while (pool.allocate().ok()) {
    }
    pool.release(*IpAddress::parse("10.0.0.5"));
    EXPECT_EQ(next(pool), "10.0.0.5");
    EXPECT_FALSE(pool.allocate().ok());
}

TEST(AddressPool, RefusesATakenAddressInDockersWords) {
    AddressPool pool = pool_of("10.0.0.0/24");
    ASSERT_TRUE(pool.reserve(*IpAddress::parse("10.0.0.9")).ok());
    const Result<void> again = pool.reserve(*IpAddress::parse("10.0.0.9"));
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().kind(), ErrorKind::Conflict);
    EXPECT_EQ(again.error().message(), "Address already in use");
    EXPECT_TRUE(pool.is_taken(*IpAddress::parse("10.0.0.9")));
}

TEST(AddressPool, RefusesAnAddressOfAnotherSubnet) {
    AddressPool pool = pool_of("10.0.0.0/24");
    EXPECT_FALSE(pool.reserve(*IpAddress::parse("10.0.1.1")).ok());
    EXPECT_FALSE(pool.reserve(*IpAddress::parse("fd00::1")).ok());
}

TEST(AddressPool, ChoosesFromTheRangeButReservesAnywhere) {
    AddressPool pool =
        AddressPool::create(*IpPrefix::parse("10.0.0.0/24"), *IpPrefix::parse("10.0.0.128/25"))
            .value();
    EXPECT_EQ(next(pool), "10.0.0.128");
    EXPECT_TRUE(pool.reserve(*IpAddress::parse("10.0.0.5")).ok());
    pool.release(*IpAddress::parse("10.0.0.5"));
    EXPECT_EQ(next(pool), "10.0.0.129");
}

TEST(AddressPool, RefusesSubnetsWithoutRoomAndRangesOutside) {
    EXPECT_FALSE(AddressPool::create(*IpPrefix::parse("fd00::/128")).ok());
    EXPECT_FALSE(
        AddressPool::create(*IpPrefix::parse("10.0.0.0/24"), *IpPrefix::parse("10.0.1.0/25")).ok());
    EXPECT_FALSE(
        AddressPool::create(*IpPrefix::parse("10.0.0.0/24"), *IpPrefix::parse("10.0.0.0/16")).ok());
}

TEST(AddressPool, GivesIpv6AddressesFromWideSubnetsAndRanges) {
    AddressPool pool = pool_of("fd00:1::/64");
    EXPECT_EQ(next(pool), "fd00:1::1");
    ASSERT_TRUE(pool.reserve(*IpAddress::parse("fd00:1::2")).ok());
    EXPECT_EQ(next(pool), "fd00:1::3");
    EXPECT_FALSE(pool.reserve(*IpAddress::parse("fd00:1::")).ok());
    // All ones is an address like any other.
    EXPECT_TRUE(pool.reserve(*IpAddress::parse("fd00:1::ffff:ffff:ffff:ffff")).ok());
    AddressPool range =
        AddressPool::create(
            *IpPrefix::parse("fd00:1::/64"), *IpPrefix::parse("fd00:1::ff/127"), "six (1)")
            .value();
    EXPECT_EQ(next(range), "fd00:1::fe");
    EXPECT_EQ(next(range), "fd00:1::ff");
    EXPECT_EQ(next(range), "no available IPv6 addresses on this network's address pools: six (1)");
}

} // namespace
} // namespace berth::network
