// SPDX-License-Identifier: Apache-2.0
// What every network must do.
#include "network/network_contract.h"

#include <gmock/gmock.h>

namespace berth::network {
namespace {

TEST_P(NetworkContract, GivesTheLowestFreeAddressesAndTakesThemBack) {
    in_host_network([] {
        const auto driver = start_driver();
        const auto network = GetParam().make(*driver, true);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        EXPECT_EQ(a.ip.to_string(), "10.77.0.2");
        EXPECT_EQ(a.ip_v6->to_string(), "fd00:77::2");
        EXPECT_EQ(b.ip.to_string(), "10.77.0.3");
        EXPECT_EQ(network->endpoint_count(), 2U);
        ASSERT_TRUE(network->disconnect("a").ok());
        EXPECT_EQ(network->disconnect("a").error().kind(), ErrorKind::NotFound);
        const std::string again = connect(*network, "c").ip.to_string();
        EXPECT_EQ(again, GetParam().lowest_first ? "10.77.0.2" : "10.77.0.4");
    });
}

TEST_P(NetworkContract, GivesTheAddressesThatAreAskedForOnce) {
    in_host_network([] {
        const auto driver = start_driver();
        const auto network = GetParam().make(*driver, true);
        EndpointRequest request{.id = "a", .container_name = "one", .ports = {}};
        request.ip = *IpAddress::parse("10.77.0.50");
        request.ip_v6 = *IpAddress::parse("fd00:77::50");
        request.mac = *MacAddress::parse("02:00:00:00:00:50");
        const Endpoint a = connect(*network, request);
        const std::string text = inside(a, {"ip", "address", "show", a.interface_name});
        EXPECT_THAT(text, ::testing::HasSubstr("inet 10.77.0.50/24"));
        EXPECT_THAT(text, ::testing::HasSubstr("inet6 fd00:77::50/64"));
        const bool has_it = text.find("02:00:00:00:00:50") != std::string::npos;
        EXPECT_EQ(has_it, GetParam().own_mac) << text;
        request.id = "b";
        const Result<Endpoint> again = network->connect(request);
        ASSERT_FALSE(again.ok());
        EXPECT_THAT(again.error().message(), ::testing::HasSubstr(GetParam().in_use));
        // Nothing of the refused one is left: neither its place nor the other address.
        request.mac.reset();
        request.ip = *IpAddress::parse("10.77.0.51");
        request.ip_v6 = *IpAddress::parse("fd00:77::51");
        EXPECT_TRUE(network->connect(request).ok());
    });
}

TEST_P(NetworkContract, CarriesTrafficOfBothFamilies) {
    in_host_network([] {
        const auto driver = start_driver();
        const auto network = GetParam().make(*driver, true);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        EXPECT_TRUE(reaches(a, b.ip_v6->to_string()));
    });
}

TEST_P(NetworkContract, JoinsANamespaceThatIsThereAndLeavesIt) {
    in_host_network([] {
        const auto driver = start_driver();
        const auto network = GetParam().make(*driver, false);
        const Endpoint b = connect(*network, "b");
        Endpoint a;
        a.netns = *driver->create_isolated_namespace();
        EndpointRequest request{.id = "a", .container_name = "late", .ports = {}};
        request.netns = &a.netns;
        request.interface_name = "eth3";
        const Endpoint joined = connect(*network, request);
        EXPECT_FALSE(joined.netns);
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        EXPECT_THAT(inside(a, {"ip", "route"}), ::testing::HasSubstr("dev eth3"));
        ASSERT_TRUE(network->disconnect("a", Detach::Now).ok());
        EXPECT_THAT(inside(a, {"ip", "link"}), ::testing::Not(::testing::HasSubstr("eth3")));
    });
}

TEST_P(NetworkContract, SetsTheInterfacesOwnSysctls) {
    in_host_network([] {
        const auto driver = start_driver();
        const auto network = GetParam().make(*driver, false);
        EndpointRequest request{.id = "a", .container_name = "tuned", .ports = {}};
        request.sysctls = {{"net.ipv4.conf.IFNAME.log_martians", "1"}};
        const Endpoint a = connect(*network, request);
        EXPECT_THAT(
            inside(a, {"cat", "/proc/sys/net/ipv4/conf/eth0/log_martians"}),
            ::testing::HasSubstr("1"));
        request.id = "b";
        request.sysctls = {{"net.ipv4.conf.IFNAME.no_such", "1"}};
        EXPECT_FALSE(network->connect(request).ok());
        EXPECT_EQ(network->endpoint_count(), 1U);
    });
}

TEST_P(NetworkContract, IsRemovedOnlyWhenEmptyAndLeavesNothing) {
    in_host_network([] {
        const std::string before = kernel::output_of({"ip", "-o", "link"});
        const auto driver = start_driver();
        const auto network = GetParam().make(*driver, true);
        const Endpoint a = connect(*network, "a");
        EXPECT_EQ(driver->remove(network->name()).error().kind(), ErrorKind::Forbidden);
        ASSERT_TRUE(network->disconnect("a").ok());
        ASSERT_TRUE(driver->remove(network->name()).ok());
        EXPECT_FALSE(network->connect({.id = "b", .container_name = "late", .ports = {}}).ok());
        driver->wait_until_removed();
        EXPECT_EQ(kernel::output_of({"ip", "-o", "link"}), before);
    });
}

} // namespace
} // namespace berth::network
