// SPDX-License-Identifier: Apache-2.0
#include "engine/traffic_limits.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

std::string
problem_of(const std::string& driver, const std::string& name, const std::string& value) {
    NetworkInspect network;
    network.driver = driver;
    network.options = {{name, value}};
    const auto checked = check_own_options(network);
    return checked.ok() ? "" : checked.error().message();
}

TEST(TrafficLimits, AreTakenByTheDriversThatHaveThem) {
    for (const char* driver : {"bridge", "null"}) {
        EXPECT_EQ(problem_of(driver, "com.berth.rate.egress", "10mbit"), "");
        EXPECT_EQ(problem_of(driver, "com.berth.connections", "unlimited"), "");
        EXPECT_EQ(problem_of(driver, "com.berth.bridge.shortcut", "false"), "");
        EXPECT_EQ(problem_of(driver, "com.berth.bridge.big_tcp", "false"), "");
    }
    EXPECT_EQ(problem_of("cni", "com.berth.rate.ingress", "10mbit"), "");
    EXPECT_EQ(problem_of("bridge", "com.example.anything", "x"), "");
}

TEST(TrafficLimits, AreRefusedWithOptionAndValue) {
    EXPECT_EQ(
        problem_of("bridge", "com.berth.rate.egress", "fast"),
        "network option com.berth.rate.egress: invalid rate \"fast\": a number and a unit such as "
        "mbit are wanted");
    EXPECT_EQ(
        problem_of("null", "com.berth.connections", "-1"),
        "network option com.berth.connections: \"-1\" is neither a number of connections nor "
        "\"unlimited\"");
    for (const char* bad : {"0", "many", "4294967296", " 7"}) {
        EXPECT_NE(problem_of("bridge", "com.berth.connections", bad), "") << bad;
    }
}

TEST(TrafficLimits, AreRefusedByDriversWithoutThem) {
    EXPECT_EQ(
        problem_of("macvlan", "com.berth.rate.egress", "10mbit"),
        "network option com.berth.rate.egress: macvlan networks do not have it: their interfaces "
        "have no end on the host");
    EXPECT_EQ(
        problem_of("cni", "com.berth.connections", "10"),
        "network option com.berth.connections: CNI networks do not have it: only their plugins "
        "know which way packets take");
    EXPECT_EQ(
        problem_of("bridge", "com.berth.rate.egres", "10mbit"),
        "unknown option com.berth.rate.egres of a bridge network");
    EXPECT_EQ(
        problem_of("cni", "com.berth.bridge.shortcut", "false"),
        "unknown option com.berth.bridge.shortcut of a CNI network");
    EXPECT_EQ(
        problem_of("macvlan", "com.berth.bridge.big_tcp", "false"),
        "unknown option com.berth.bridge.big_tcp of a macvlan network");
}

TEST(TrafficLimits, OfOneContainerAreCheckedWithWhatIsKnownOfItsNetwork) {
    const StringMap bad{{"com.berth.connections", "x"}, {"com.berth.rate.egress", "1 parsec"}};
    EXPECT_EQ(own_option_problems(bad, "").size(), 2U);
    const StringMap good{{"com.berth.connections", "9"}, {"com.docker.anything", "x"}};
    EXPECT_TRUE(own_option_problems(good, "").empty());
    EXPECT_TRUE(own_option_problems(good, "bridge").empty());
    for (const char* driver : {"cni", "ipvlan", "host", "null"}) {
        EXPECT_EQ(own_option_problems(good, driver).size(), 1U) << driver;
    }
    EXPECT_EQ(own_option_problems({{"com.berth.cni.args", "A"}}, "cni").size(), 1U);
    EXPECT_TRUE(own_option_problems({{"com.berth.cni.args", "A=1;B=2"}}, "").empty());
    EXPECT_EQ(own_option_problems({{"com.berth.cni.args", "A=1"}}, "bridge").size(), 1U);
}

} // namespace
} // namespace berth::engine
