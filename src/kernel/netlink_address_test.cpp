// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_address.h"

#include <gtest/gtest.h>

namespace berth::kernel {
namespace {

TEST(IpAddress, ParsesAndPrintsBothFamilies) {
    EXPECT_EQ(IpAddress::parse("172.17.0.2")->to_string(), "172.17.0.2");
    EXPECT_EQ(IpAddress::parse("fd00:0::2")->to_string(), "fd00::2");
    EXPECT_EQ(IpAddress::parse("172.17.0.2")->v4(), 0xac110002U);
    EXPECT_EQ(IpAddress::from_v4(0x7f000001).to_string(), "127.0.0.1");
}

TEST(IpAddress, RejectsWhatIsNoAddress) {
    for (const char* text : {"", "172.17.0", "172.17.0.256", "172.17.0.2/16", "::1%lo", "host"}) {
        EXPECT_FALSE(IpAddress::parse(text).ok()) << text;
    }
}

TEST(IpAddress, KnowsLoopbackAndUnspecified) {
    EXPECT_TRUE(IpAddress::parse("127.8.9.1")->is_loopback());
    EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
    EXPECT_FALSE(IpAddress::parse("128.0.0.1")->is_loopback());
    EXPECT_TRUE(IpAddress().is_unspecified());
    EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
}

TEST(IpPrefix, MasksHostBits) {
    EXPECT_EQ(IpPrefix::parse("172.17.5.9/16")->network().to_string(), "172.17.0.0/16");
    EXPECT_EQ(IpPrefix::parse("10.0.0.255/27")->network().to_string(), "10.0.0.224/27");
    EXPECT_EQ(IpPrefix::parse("1.2.3.4/0")->network().to_string(), "0.0.0.0/0");
    EXPECT_EQ(IpPrefix::parse("fd00:1:2::1/33")->network().to_string(), "fd00:1::/33");
}

TEST(IpPrefix, ContainsAndOverlaps) {
    const IpPrefix wide = *IpPrefix::parse("172.16.0.0/12");
    const IpPrefix narrow = *IpPrefix::parse("172.17.0.0/16");
    EXPECT_TRUE(wide.contains(*IpAddress::parse("172.31.255.255")));
    EXPECT_FALSE(wide.contains(*IpAddress::parse("172.32.0.0")));
    EXPECT_FALSE(wide.contains(*IpAddress::parse("::1")));
    EXPECT_TRUE(wide.overlaps(narrow));
    EXPECT_TRUE(narrow.overlaps(wide));
    EXPECT_FALSE(narrow.overlaps(*IpPrefix::parse("172.18.0.0/16")));
}

TEST(IpPrefix, RejectsWhatIsNoPrefix) {
    for (const char* text : {"172.17.0.0", "172.17.0.0/33", "172.17.0.0/-1", "/8", "::/129"}) {
        EXPECT_FALSE(IpPrefix::parse(text).ok()) << text;
    }
}

TEST(MacAddress, ComesFromAnAddressAsDockersDid) {
    EXPECT_EQ(
        MacAddress::for_address(*IpAddress::parse("172.17.0.2")).to_string(), "02:42:ac:11:00:02");
    EXPECT_EQ(MacAddress::parse("02:42:AC:11:00:02")->to_string(), "02:42:ac:11:00:02");
}

TEST(MacAddress, RejectsWhatIsNoMac) {
    for (const char* text : {"", "02:42:ac:11:00", "02:42:ac:11:00:2", "02:42:ac:11:00:zz"}) {
        EXPECT_FALSE(MacAddress::parse(text).ok()) << text;
    }
}

TEST(MacAddress, RandomOnesAreLocalAndNotMulticast) {
    const MacAddress mac = MacAddress::random();
    EXPECT_EQ(mac.bytes[0] & 3, 2);
    EXPECT_NE(mac, MacAddress::random());
}

} // namespace
} // namespace berth::kernel
