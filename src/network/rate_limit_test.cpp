// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_test_support.h"
#include "network/network_test_support.h"
#include "network/rate_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;

TEST(RateLimits, ReadsRatesAsTcDoes) {
    EXPECT_EQ(parse_rate("10mbit").value(), 1'250'000U);
    EXPECT_EQ(parse_rate("1.5Gbit").value(), 187'500'000U);
    EXPECT_EQ(parse_rate("500kbps").value(), 500'000U);
    EXPECT_EQ(parse_rate("80000").value(), 10'000U);
    EXPECT_EQ(parse_rate("100gbit").value(), 12'500'000'000U);
    for (const char* bad : {"", "mbit", "-1mbit", "10mbits", "nan", "1", "10 mbit", "1e3mbit"}) {
        EXPECT_FALSE(parse_rate(bad).ok()) << bad;
    }
}

TEST(RateLimits, HoldsBothDirectionsBack) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint slow = connect(
            *network,
            EndpointRequest{
                .id = "slow",
                .container_name = {},
                .ports = {},
                .rates = {.egress = 1'250'000, .ingress = 12'500'000'000}});
        EXPECT_THAT(inside(slow, {"tc", "qdisc", "show", "dev", "eth0"}), HasSubstr("tbf 1: root"));
        EXPECT_THAT(inside(slow, {"tc", "qdisc", "show", "dev", "eth0"}), HasSubstr("rate 10Mbit"));
        EXPECT_THAT(
            output_of({"tc", "qdisc", "show", "dev", slow.host_interface}),
            HasSubstr("rate 100Gbit"));
    });
}

} // namespace
} // namespace berth::network
