// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_test_support.h"
#include "kernel/process.h"
#include "network/network_test_support.h"
#include "network/port_publisher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::IpAddress;

ContainerAddresses both_families() {
    ContainerAddresses addresses;
    addresses.v4 = *IpAddress::parse("172.17.0.2");
    addresses.v6 = *IpAddress::parse("fd00::2");
    return addresses;
}

PortRequest everywhere(std::uint16_t port) {
    return {
        .protocol = Protocol::Tcp, .container_port = 80, .host_port = port, .every_family = true};
}

std::string text_of(const Result<std::vector<BoundPort>>& ports) {
    if (!ports.ok()) {
        return ports.error().message();
    }
    std::string text;
    for (const BoundPort& port : ports.value()) {
        text += port.host_ip.to_string() + " " + std::to_string(port.host_port) + "; ";
    }
    return text;
}

TEST(PortReservations, HoldsTheSamePortOfBothFamilies) {
    in_new_network([] {
        PortReservations ports;
        EXPECT_EQ(
            text_of(ports.reserve({everywhere(8080)}, both_families())), "0.0.0.0 8080; :: 8080; ");
        PortReservations others; // as another program
        EXPECT_EQ(
            text_of(others.reserve({tcp(8080, 80, "::1")}, both_families())),
            "failed to bind host port for [::1]:8080:[fd00::2]:80/tcp: address already in use");
        EXPECT_EQ(
            text_of(ports.reserve({tcp(8080, 80, "::1")}, both_families())),
            "Bind for [::1]:8080 failed: port is already allocated");
        const auto random = ports.reserve({everywhere(0)}, both_families());
        ASSERT_TRUE(random.ok());
        ASSERT_EQ(random->size(), 2U);
        EXPECT_EQ(random->at(0).host_port, random->at(1).host_port);
        ports.release(*random);
    });
}

// A child that has not called exec yet has copies of its parent's descriptors.
TEST(PortReservations, AreFreeAtOnceWhileProgramsStart) {
    in_new_network([] {
        PortReservations ports;
        std::string failures;
        // Each round another moment of the start.
        for (std::chrono::microseconds moment(0); moment.count() < 400; ++moment) {
            const auto held = ports.reserve({tcp(8080, 80, "0.0.0.0")}, both_families());
            ASSERT_TRUE(held.ok()) << held.error().message();
            std::atomic<bool> begins = false;
            std::thread starter([&] {
                begins = true;
                begins.notify_one();
                auto child = kernel::spawn({.arguments = {"/bin/true"}});
                EXPECT_TRUE(child.ok() && child->wait().ok());
            });
            begins.wait(false);
            const auto until = std::chrono::steady_clock::now() + moment;
            while (std::chrono::steady_clock::now() < until) {
            }
            ports.release(*held);
            const auto again = ports.reserve({tcp(8080, 80, "0.0.0.0")}, both_families());
            starter.join();
            if (!again.ok()) {
                failures += again.error().message() + "; ";
                continue;
            }
            ports.release(*again);
        }
        EXPECT_EQ(failures, "");
    });
}

TEST(PortReservations, TakesBothFamiliesOrNone) {
    in_new_network([] {
        PortReservations ports;
        ASSERT_TRUE(ports.reserve({tcp(8080, 80, "::1")}, both_families()).ok());
        EXPECT_EQ(
            text_of(ports.reserve({everywhere(8080)}, both_families())),
            "Bind for [::]:8080 failed: port is already allocated");
        // The other family's port was given back.
        EXPECT_EQ(text_of(ports.reserve({tcp(8080, 80)}, both_families())), "0.0.0.0 8080; ");
        // In a range, the next port that is free in both.
        PortRequest range = everywhere(8080);
        range.host_port_end = 8082;
        EXPECT_EQ(text_of(ports.reserve({range}, both_families())), "0.0.0.0 8081; :: 8081; ");
    });
}

TEST(PortReservations, PublishesTheFamiliesThatTheContainerHas) {
    in_new_network([] {
        PortReservations ports;
        const IpAddress v4 = *IpAddress::parse("172.17.0.2");
        const IpAddress v6 = *IpAddress::parse("fd00::2");
        EXPECT_EQ(text_of(ports.reserve({everywhere(8080)}, v4)), "0.0.0.0 8080; ");
        EXPECT_EQ(text_of(ports.reserve({everywhere(8081)}, v6)), ":: 8081; ");
        // As with Docker, whose containers may move to a network that has the family.
        EXPECT_EQ(text_of(ports.reserve({tcp(8082, 80, "::1")}, v4)), "");
        EXPECT_EQ(text_of(ports.reserve({tcp(8082, 80, "127.0.0.1")}, v6)), "");
    });
}

ContainerAddresses relayed() {
    ContainerAddresses addresses;
    addresses.v4 = *IpAddress::parse("127.0.0.1");
    addresses.relayed_v6 = true;
    return addresses;
}

TEST(PortReservations, HoldsPortsToBeRelayed) {
    in_new_network([] {
        PortReservations ports;
        EXPECT_EQ(text_of(ports.reserve({everywhere(8080)}, relayed())), "0.0.0.0 8080; :: 8080; ");
        EXPECT_EQ(text_of(ports.reserve({tcp(8081, 80, "::1")}, relayed())), "::1 8081; ");
        PortReservations others; // as another program
        EXPECT_EQ(
            text_of(others.reserve({tcp(8081, 80, "::1")}, relayed())),
            "failed to bind host port for [::1]:8081:127.0.0.1:80/tcp: address already in use");
        // Of an IPv6-only network's container nothing is relayed, nor where IPv6 is routed.
        ContainerAddresses v6 = *IpAddress::parse("fd00::2");
        v6.relayed_v6 = true;
        EXPECT_EQ(text_of(ports.reserve({everywhere(8082)}, v6)), ":: 8082; ");
        ContainerAddresses routed = relayed();
        routed.routed_v6 = true;
        EXPECT_EQ(text_of(ports.reserve({everywhere(8083)}, routed)), "0.0.0.0 8083; ");
    });
}

TEST(PortReservations, RelayNoSctp) {
    in_new_network([] {
        PortReservations ports;
        PortRequest sctp = everywhere(8080);
        sctp.protocol = Protocol::Sctp;
        EXPECT_EQ(text_of(ports.reserve({sctp}, relayed())), "0.0.0.0 8080; ");
        PortRequest named = tcp(8081, 80, "::1");
        named.protocol = Protocol::Sctp;
        EXPECT_EQ(
            text_of(ports.reserve({named}, relayed())),
            "cannot publish port 80/sctp on [::1]:8081: the container has no IPv6 address in this "
            "network, and SCTP is not relayed");
    });
}

TEST(PortReservations, PublishNothingOfIpv6WhereTheHostHasNone) {
    in_new_network([] {
        kernel::output_of({"sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"});
        PortReservations ports;
        EXPECT_EQ(text_of(ports.reserve({everywhere(8080)}, relayed())), "0.0.0.0 8080; ");
        EXPECT_EQ(text_of(ports.reserve({everywhere(8081)}, both_families())), "0.0.0.0 8081; ");
    });
}

TEST(PortReservations, RelayUntilTheyAreReleased) {
    in_new_network([] {
        EchoServer server(here, Protocol::Tcp, 80);
        PortReservations ports;
        const auto held = ports.reserve({everywhere(8080)}, relayed());
        ASSERT_TRUE(held.ok());
        // Held only, it answers nobody.
        EXPECT_EQ(ask_in_vain(here, Protocol::Tcp, "::1", 8080), "timeout");
        ASSERT_TRUE(ports.relay(*held, relayed()).ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "::1", 8080), "127.0.0.1");
        EXPECT_EQ(
            text_of(ports.reserve({tcp(8080, 80, "::1")}, relayed())),
            "Bind for [::1]:8080 failed: port is already allocated");
        ports.release(*held);
        EXPECT_EQ(ask(here, Protocol::Tcp, "::1", 8080), "refused");
        // After a restart.
        ASSERT_TRUE(ports.restore(*held).ok());
        ASSERT_TRUE(ports.relay(*held, relayed()).ok());
        EXPECT_EQ(ask(here, Protocol::Tcp, "::1", 8080), "127.0.0.1");
    });
}

TEST(PortReservations, HoldsNoHostPortForARoutedFamily) {
    in_new_network([] {
        PortReservations ports;
        ContainerAddresses addresses = both_families();
        addresses.routed_v6 = true;
        EXPECT_EQ(text_of(ports.reserve({everywhere(8080)}, addresses)), "0.0.0.0 8080; :: 0; ");
        EXPECT_EQ(text_of(ports.reserve({tcp(8080, 80, "::")}, addresses)), ":: 0; ");
    });
}

TEST(PortReservations, KnowsSctp) {
    in_new_network([] {
        PortReservations ports;
        const PortRequest request{
            .protocol = *parse_protocol("SCTP"), .container_port = 80, .host_port = 8080};
        EXPECT_EQ(text_of(ports.reserve({request}, both_families())), "0.0.0.0 8080; ");
        EXPECT_EQ(
            text_of(ports.reserve({request}, both_families())),
            "Bind for 0.0.0.0:8080 failed: port is already allocated");
    });
}

} // namespace
} // namespace berth::network
