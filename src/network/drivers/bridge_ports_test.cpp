// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_test_support.h"
#include "network/drivers/bridge_ports.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::HasSubstr;
using testing::Not;

TEST(BridgePorts, SpreadOverLinkedBridgesThatActAsOne) {
    in_new_network([] {
        BridgePorts::set_limit_for_test(2);
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        std::vector<Endpoint> endpoints;
        for (const char* id : {"a", "b", "c", "d", "e"}) {
            endpoints.push_back(connect(*network, id));
        }
        EXPECT_TRUE(reaches(endpoints[0], endpoints[4].ip.to_string()));
        EXPECT_TRUE(reaches(endpoints[2], endpoints[4].ip.to_string()));
        EXPECT_TRUE(reaches(endpoints[4], "172.17.0.1"));
        const EchoServer server(endpoints[3].netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(endpoints[1].netns, Protocol::Tcp, "172.17.0.5", 80), "172.17.0.3");
        // A place that is given back is used again, and no further bridge is made.
        const std::string bridges = output_of({"ip", "-o", "link", "show", "type", "bridge"});
        ASSERT_TRUE(network->disconnect("c").ok());
        endpoints.push_back(connect(*network, "f"));
        EXPECT_TRUE(reaches(endpoints[5], endpoints[0].ip.to_string()));
        EXPECT_EQ(output_of({"ip", "-o", "link", "show", "type", "bridge"}), bridges);
    });
}

TEST(BridgePorts, KeepContainersApartAlsoBetweenBridges) {
    in_new_network([] {
        BridgePorts::set_limit_for_test(1);
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.inter_container = false;
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const Endpoint c = connect(*network, "c");
        EXPECT_FALSE(reaches(a, b.ip.to_string()));
        EXPECT_FALSE(reaches(b, c.ip.to_string()));
        EXPECT_TRUE(reaches(c, "172.17.0.1"));
    });
}

TEST(BridgePorts, AreFoundAgainByTheNextEngineAndGoWithTheNetwork) {
    in_new_network([] {
        BridgePorts::set_limit_for_test(1);
        const std::string before = output_of({"ip", "-o", "link"});
        NetworkDriver::Options options;
        std::vector<Endpoint> kept;
        {
            const auto driver = start_driver();
            const auto network = create_default(*driver);
            for (const char* id : {"a", "b"}) {
                kept.push_back(connect(*network, id));
            }
            options.networks.push_back(record_of(*network, kept));
        }
        const auto driver = start_driver(std::move(options));
        const std::shared_ptr<Network> network = driver->find("test0");
        EXPECT_TRUE(reaches(kept[0], kept[1].ip.to_string()));
        EXPECT_TRUE(reaches(connect(*network, "c"), kept[1].ip.to_string()));
        for (const char* id : {"a", "b", "c"}) {
            ASSERT_TRUE(network->disconnect(id).ok());
        }
        ASSERT_TRUE(driver->remove("test0").ok());
        driver->wait_until_removed();
        EXPECT_EQ(output_of({"ip", "-o", "link"}), before);
    });
}

TEST(BridgePorts, OfANetworkThatNobodyKnowsAreSwept) {
    in_new_network([] {
        BridgePorts::set_limit_for_test(1);
        {
            const auto driver = start_driver();
            const auto network = create_default(*driver);
            const Endpoint a = connect(*network, "a");
            const Endpoint b = connect(*network, "b");
        }
        const auto driver = start_driver();
        driver->wait_until_removed();
        EXPECT_EQ(output_of({"ip", "-o", "link", "show", "type", "bridge"}), "");
        // The veth pairs of the containers go with their namespaces, when the kernel gets to it.
        EXPECT_THAT(output_of({"ip", "-o", "link"}), Not(HasSubstr("brj-")));
    });
}

} // namespace
} // namespace berth::network
