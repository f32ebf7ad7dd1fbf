// SPDX-License-Identifier: Apache-2.0
// How many connections a container may have open: what one that floods does to others.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/netlink_test_support.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::in_new_network;

EndpointRequest bounded(const std::string& id, std::uint32_t connections) {
    return {.id = id, .container_name = {}, .ports = {}, .connections = connections};
}

// Of a client whose datagrams get through, however busy the machine is.
std::string answer_to(DatagramClient& client) {
    std::string answer = client.ask();
    for (int i = 0; answer == "timeout" && i < 10; ++i) {
        answer = client.ask();
    }
    return answer;
}

// In the test's own namespace.
std::int64_t tracked() {
    const auto text = read_file("/proc/sys/net/netfilter/nf_conntrack_count");
    return parse_number<std::int64_t>(trim(text.value())).value();
}

TEST(ConnectionBound, KeepsAContainerThatFloodsFromWhatIsTheOthers) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint flooder = connect(*network, bounded("flooder", 50));
        const Endpoint neighbor = connect(*network, bounded("neighbor", 50));
        const EchoServer world(outside, Protocol::Udp, 53);
        const EchoServer host(here, Protocol::Udp, 54);
        std::vector<std::unique_ptr<DatagramClient>> clients;
        for (int i = 0; i < 50; ++i) {
            clients.push_back(std::make_unique<DatagramClient>(flooder.netns, "10.99.0.2", 53));
            ASSERT_EQ(answer_to(*clients.back()), "10.99.0.1") << i;
        }
        EXPECT_EQ(ask_in_vain(flooder.netns, Protocol::Udp, "10.99.0.2", 53), "timeout");
        EXPECT_EQ(ask_in_vain(flooder.netns, Protocol::Udp, "172.17.0.1", 54), "timeout");
        for (int i = 0; i < 1000; ++i) {
            DatagramClient(flooder.netns, "10.99.0.2", 53).send();
        }
        EXPECT_GE(tracked(), 50);
        EXPECT_LT(tracked(), 60);
        // What is open stays, and others do not notice.
        EXPECT_EQ(answer_to(*clients.front()), "10.99.0.1");
        EXPECT_EQ(ask(neighbor.netns, Protocol::Udp, "10.99.0.2", 53), "10.99.0.1");
        EXPECT_EQ(ask(neighbor.netns, Protocol::Udp, "172.17.0.1", 54), "172.17.0.3");
    });
}

TEST(ConnectionBound, CountsNoConnectionThatIsClosed) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, bounded("a", 10));
        const EchoServer world(outside, Protocol::Tcp, 80);
        for (int i = 0; i < 40; ++i) {
            ASSERT_EQ(ask(a.netns, Protocol::Tcp, "10.99.0.2", 80), "10.99.0.1") << i;
        }
    });
}

TEST(ConnectionBound, IsForEachAddressOfAContainer) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test7", "10.77.0.0/24");
        options.subnet_v6 = *IpPrefix::parse("fd00:77::/64");
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, bounded("a", 1));
        const EchoServer host(here, Protocol::Udp, 54);
        DatagramClient first(a.netns, "10.77.0.1", 54);
        DatagramClient first_v6(a.netns, "fd00:77::1", 54);
        EXPECT_EQ(answer_to(first), "10.77.0.2");
        EXPECT_EQ(answer_to(first_v6), "fd00:77::2");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Udp, "10.77.0.1", 54), "timeout");
        EXPECT_EQ(ask_in_vain(a.netns, Protocol::Udp, "fd00:77::1", 54), "timeout");
    });
}

// Parts of a bound do not fill evenly: the first refusal may come early, all never come late.
TEST(ConnectionBound, HoldsForManyConnectionsToo) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint flooder = connect(*network, bounded("flooder", 1000));
        std::vector<std::unique_ptr<DatagramClient>> clients;
        const auto open = [&](int count) {
            for (int i = 0; i < count; ++i) {
                clients.push_back(std::make_unique<DatagramClient>(flooder.netns, "10.99.0.2", 53));
                clients.back()->send();
            }
        };
        const EchoServer world(outside, Protocol::Udp, 53);
        open(700);
        EXPECT_GE(tracked(), 690);
        open(2500);
        EXPECT_GE(tracked(), 800);
        EXPECT_LE(tracked(), 1010);
    });
}

TEST(ConnectionBound, OfOneContainerIsNotThatOfAnother) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint few = connect(*network, bounded("few", 1));
        const Endpoint more = connect(*network, bounded("more", 3));
        const Endpoint any = connect(*network, bounded("any", 0));
        const EchoServer host(here, Protocol::Udp, 54);
        const auto opened = [](const Endpoint& from) {
            std::vector<std::unique_ptr<DatagramClient>> clients;
            int answered = 0;
            for (int i = 0; i < 6; ++i) {
                clients.push_back(std::make_unique<DatagramClient>(from.netns, "172.17.0.1", 54));
                answered += clients.back()->ask() == from.ip.to_string() ? 1 : 0;
            }
            return answered;
        };
        EXPECT_EQ(opened(few), 1);
        EXPECT_EQ(opened(more), 3);
        EXPECT_EQ(opened(any), 6);
        EXPECT_THAT(
            kernel::output_of({"nft", "list", "ruleset"}),
            testing::AllOf(testing::HasSubstr("bounded4_1 {"), testing::HasSubstr("bounded4_3 {")));
    });
}

} // namespace
} // namespace berth::network
