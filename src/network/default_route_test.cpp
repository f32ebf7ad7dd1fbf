// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_namespace.h"
#include "kernel/netlink_test_support.h"
#include "network/default_route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::IpFamily;
using kernel::output_of;
using testing::HasSubstr;
using testing::IsEmpty;

// As a container in two networks of both families has them.
void make_interfaces() {
    for (const auto& [name, v4, v6] :
         {std::tuple("eth0", "10.77.0.2/24", "fd00:77::2/64"),
          std::tuple("eth1", "10.78.0.2/24", "fd00:78::2/64")}) {
        output_of({"ip", "link", "add", name, "type", "bridge"});
        output_of({"ip", "address", "add", v4, "dev", name});
        output_of({"ip", "address", "add", v6, "dev", name, "nodad"});
        output_of({"ip", "link", "set", name, "up"});
    }
}

// Each route's way: "via 10.77.0.1 dev eth0", or "dev eth0".
std::vector<std::string> ways(IpFamily family) {
    const char* option = family == IpFamily::V4 ? "-4" : "-6";
    std::istringstream lines(output_of({"ip", option, "route", "show", "default"}));
    std::vector<std::string> found;
    for (std::string line; std::getline(lines, line);) {
        const std::size_t begin = std::string_view("default ").size();
        const std::size_t device = line.find("dev ");
        found.push_back(line.substr(begin, line.find(' ', device + 4) - begin));
    }
    return found;
}

void lead(const std::string& interface, IpFamily family, const std::string& gateway = "") {
    WayOut way{.interface_name = interface, .family = family, .gateway = std::nullopt};
    if (!gateway.empty()) {
        way.gateway = *IpAddress::parse(gateway);
    }
    const auto done = set_default_route(*kernel::current_network_namespace(), way);
    ASSERT_TRUE(done.ok()) << done.error().message();
}

TEST(DefaultRoute, IsOneWhateverItTakesThePlaceOf) {
    in_new_network([] {
        make_interfaces();
        for (const auto& [family, first, second] :
             {std::tuple(IpFamily::V4, "10.77.0.1", "10.78.0.1"),
              std::tuple(IpFamily::V6, "fd00:77::1", "fd00:78::1")}) {
            const std::string over_first = std::string("via ") + first + " dev eth0";
            const std::string over_second = std::string("via ") + second + " dev eth1";
            lead("eth0", family, first);
            EXPECT_THAT(ways(family), testing::ElementsAre(over_first));
            lead("eth1", family);
            EXPECT_THAT(ways(family), testing::ElementsAre("dev eth1"));
            lead("eth0", family);
            EXPECT_THAT(ways(family), testing::ElementsAre("dev eth0"));
            lead("eth0", family, first);
            EXPECT_THAT(ways(family), testing::ElementsAre(over_first));
            lead("eth1", family, second);
            EXPECT_THAT(ways(family), testing::ElementsAre(over_second));
        }
    });
}

TEST(DefaultRoute, LeavesThoseOfOtherMetricsAlone) {
    in_new_network([] {
        make_interfaces();
        output_of({"ip", "-6", "route", "add", "default", "dev", "eth0", "metric", "2000"});
        lead("eth0", IpFamily::V6, "fd00:77::1");
        lead("eth1", IpFamily::V6);
        EXPECT_THAT(ways(IpFamily::V6), testing::UnorderedElementsAre("dev eth1", "dev eth0"));
    });
}

TEST(DefaultRoute, GoesInBothForms) {
    in_new_network([] {
        make_interfaces();
        const UniqueFd netns = *kernel::current_network_namespace();
        for (const auto& [family, gateway] :
             {std::pair(IpFamily::V4, "10.77.0.1"), std::pair(IpFamily::V6, "fd00:77::1")}) {
            for (const char* way : {gateway, ""}) {
                lead("eth0", family, way);
                EXPECT_TRUE(remove_default_route(netns, family).ok());
                EXPECT_THAT(ways(family), IsEmpty());
                EXPECT_TRUE(remove_default_route(netns, family).ok()) << "there is none any more";
            }
        }
    });
}

TEST(DefaultRoute, NeedsTheInterface) {
    in_new_network([] {
        const auto done = set_default_route(
            *kernel::current_network_namespace(),
            {.interface_name = "eth9", .family = IpFamily::V4, .gateway = std::nullopt});
        EXPECT_THAT(done.error().message(), HasSubstr("no interface eth9"));
    });
}

} // namespace
} // namespace berth::network
