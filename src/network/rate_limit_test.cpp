// SPDX-License-Identifier: Apache-2.0
#include "base/strings.h"
#include "kernel/netlink_test_support.h"
#include "network/network_test_support.h"
#include "network/rate_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <utility>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;
using testing::Not;

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

// What has come from containers to the host so far.
std::int64_t received(const std::string& bridge) {
    const std::string text = output_of({"ip", "-j", "-s", "link", "show", "dev", bridge});
    const auto after = cut(text, R"("rx":{"bytes":)");
    return after
               ? parse_number<std::int64_t>(after->after.substr(0, after->after.find(','))).value()
               : -1;
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

TEST(RateLimits, HoldAContainerThatTakesItsOwnAway) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.shortcut = false; // so that all is counted at the bridge
        const auto network = create(*driver, options);
        constexpr std::int64_t rate = 200'000;
        constexpr std::int64_t sent = 3'000'000;
        const Endpoint slow = connect(
            *network,
            EndpointRequest{
                .id = "slow", .container_name = {}, .ports = {}, .rates = {.egress = rate}});
        const Endpoint free = connect(*network, "free");
        const EchoServer sink(UniqueFd(), Protocol::Udp, 9999);
        const auto send = [&](const Endpoint& from) {
            const std::int64_t before = received("test0");
            const auto start = std::chrono::steady_clock::now();
            inside(
                from,
                {"bash", "-c", "head -c 3000000 /dev/zero | dd bs=1000 >/dev/udp/172.17.0.1/9999"});
            const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
            return std::pair(received("test0") - before, time.count());
        };
        inside(slow, {"tc", "qdisc", "del", "dev", "eth0", "root"});
        EXPECT_THAT(inside(slow, {"tc", "qdisc", "show", "dev", "eth0"}), Not(HasSubstr("tbf")));
        const auto [bytes, seconds] = send(slow);
        // What may come at once, and by and by.
        EXPECT_LT(static_cast<double>(bytes), rate * (1.5 + seconds) + (64 << 10));
        EXPECT_GT(bytes, rate / 2);
        EXPECT_GT(send(free).first, sent);
    });
}

} // namespace
} // namespace berth::network
