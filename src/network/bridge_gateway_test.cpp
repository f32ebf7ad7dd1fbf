// SPDX-License-Identifier: Apache-2.0
// Frames to the host and beyond are the bridge's own without having come over it; what the bridge
// drops, or must see, still comes to it.
#include "kernel/bpf.h"
#include "kernel/netlink_test_support.h"
#include "network/bridge_program.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gtest/gtest.h>
#include <linux/pkt_cls.h>

#include <array>
#include <string>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;

constexpr int questions = 60;
const std::string outside_address = "10.99.0.2";

// Frames that its ports have handed up to it.
int received_over(const std::string& bridge) {
    return packets_at(bridge, "RX");
}

// How many frames come over the bridge for so many questions, each of which is answered.
int over_for_questions(
    const UniqueFd& from,
    Protocol protocol,
    const std::string& address,
    std::uint16_t port,
    const std::string& seen) {
    EXPECT_EQ(ask(from, protocol, address, port), seen); // with the search for the MAC
    const int before = received_over("test0");
    for (int i = 0; i < questions; ++i) {
        EXPECT_EQ(ask(from, protocol, address, port), seen) << address;
    }
    return received_over("test0") - before;
}

TEST(BridgeGateway, IsReachedPastTheBridge) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.subnet_v6 = *IpPrefix::parse("fd00:5::/64");
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
            const EchoServer far(outside, protocol, 80);
            const EchoServer near(here, protocol, 81);
            const std::string own = a.ip.to_string();
            const std::string own_v6 = a.ip_v6->to_string();
            EXPECT_LT(
                over_for_questions(a.netns, protocol, outside_address, 80, "10.99.0.1"), questions);
            EXPECT_LT(over_for_questions(a.netns, protocol, "172.17.0.1", 81, own), questions);
            EXPECT_LT(over_for_questions(a.netns, protocol, "fd00:5::1", 81, own_v6), questions);
        }
        EXPECT_TRUE(reaches(a, outside_address)); // ICMP, over the bridge
    });
}

TEST(BridgeGateway, AnswersOfPublishedPortsPassTheBridge) {
    in_new_network([] {
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a", {tcp(8080, 80)});
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        EXPECT_LT(
            over_for_questions(outside, Protocol::Tcp, "10.99.0.1", 8080, outside_address),
            questions);
    });
}

// A processor's note is of one frame at a time.
TEST(BridgeGateway, IsNotMixedUpWithMembers) {
    in_new_network([] {
        stay_on_one_processor();
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        const EchoServer far(outside, Protocol::Udp, 80);
        const EchoServer near(here, Protocol::Udp, 80);
        const EchoServer beside(b.netns, Protocol::Udp, 80);
        for (int i = 0; i < questions; ++i) {
            const std::string address = i % 3 == 0 ? "172.17.0.3" : "172.17.0.1";
            EXPECT_EQ(ask(a.netns, Protocol::Udp, address, 80), "172.17.0.2");
            EXPECT_EQ(ask(a.netns, Protocol::Udp, outside_address, 80), "10.99.0.1");
        }
        EXPECT_LT(received_over("test0"), questions);
    });
}

TEST(BridgeGateway, IsReachedByNoForgedSources) {
    in_new_network([] {
        stay_on_one_processor();
        const UniqueFd outside = make_outside_world();
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const EchoServer far(outside, Protocol::Udp, 80);
        const EchoServer near(here, Protocol::Udp, 81);
        const auto expect_silence = [&] {
            EXPECT_EQ(ask_in_vain(a.netns, Protocol::Udp, outside_address, 80), "timeout");
            EXPECT_EQ(ask_in_vain(a.netns, Protocol::Udp, "172.17.0.1", 81), "timeout");
        };
        ASSERT_EQ(ask(a.netns, Protocol::Udp, outside_address, 80), "10.99.0.1");
        const std::string gateway_mac = inside(a, {"ip", "neighbor", "show", "172.17.0.1"});
        const auto know_gateway = [&] {
            const std::string mac = gateway_mac.substr(gateway_mac.find("lladdr ") + 7, 17);
            inside(a, {"ip", "neighbor", "replace", "172.17.0.1", "lladdr", mac, "dev", "eth0"});
        };
        const auto take = [&](const std::string& address) {
            inside(a, {"ip", "address", "flush", "dev", "eth0"});
            inside(a, {"ip", "address", "add", address + "/16", "dev", "eth0"});
            inside(a, {"ip", "route", "replace", "default", "via", "172.17.0.1"});
            know_gateway();
        };
        take("172.17.0.77");
        expect_silence();
        take("172.17.0.2");
        EXPECT_EQ(ask(a.netns, Protocol::Udp, outside_address, 80), "10.99.0.1");
        inside(a, {"ip", "link", "set", "eth0", "address", "02:42:ac:11:00:99"});
        know_gateway();
        expect_silence();
    });
}

TEST(BridgeGateway, WithAnotherMacIsReachedOverTheBridge) {
    in_new_network([] {
        const auto driver = start_driver();
        const auto network = create_default(*driver);
        const Endpoint a = connect(*network, "a");
        const EchoServer near(here, Protocol::Tcp, 81);
        ASSERT_LT(
            over_for_questions(a.netns, Protocol::Tcp, "172.17.0.1", 81, "172.17.0.2"), questions);
        output_of({"ip", "link", "set", "test0", "address", "02:42:ac:11:99:99"});
        inside(a, {"ip", "neighbor", "flush", "all"});
        EXPECT_GE(
            over_for_questions(a.netns, Protocol::Tcp, "172.17.0.1", 81, "172.17.0.2"), questions);
    });
}

TEST(BridgeGateway, IsReachedOverTheBridgeWhereTheNetworkWantsIt) {
    in_new_network([] {
        const auto driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        options.shortcut = false;
        const auto network = create(*driver, options);
        const Endpoint a = connect(*network, "a");
        const EchoServer near(here, Protocol::Tcp, 81);
        EXPECT_GE(
            over_for_questions(a.netns, Protocol::Tcp, "172.17.0.1", 81, "172.17.0.2"), questions);
    });
}

// What another has left there is not taken for the gateway.
TEST(BridgeGateway, IsNotWhatIsLeftInTheControlBlock) {
    in_new_network([] {
        constexpr std::size_t frame_bytes = 64;
        const BridgeTables tables = BridgeTables::create(8).value();
        const ShortcutHooks alone{.continuation = FdRef::unowned(-1), .ring = FdRef::unowned(-1)};
        const UniqueFd program = kernel::load_bpf_program(
                                     BPF_PROG_TYPE_SCHED_CLS,
                                     "test_bridge",
                                     bridge_program(tables, alone, TC_ACT_UNSPEC))
                                     .value();
        std::array<std::uint8_t, frame_bytes> frame{};
        __sk_buff about{};
        about.ifindex = 1;
        about.cb[0] = 1;
        bpf_attr attributes{};
        attributes.test.prog_fd = static_cast<std::uint32_t>(program.get());
        attributes.test.data_in = reinterpret_cast<std::uintptr_t>(frame.data());
        attributes.test.data_size_in = frame_bytes;
        attributes.test.ctx_in = reinterpret_cast<std::uintptr_t>(&about);
        attributes.test.ctx_size_in = sizeof about;
        ASSERT_EQ(kernel::bpf_call(BPF_PROG_TEST_RUN, attributes), 0);
        EXPECT_EQ(attributes.test.retval, static_cast<std::uint32_t>(TC_ACT_UNSPEC));
    });
}

} // namespace
} // namespace berth::network
