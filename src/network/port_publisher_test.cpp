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
        EXPECT_EQ(text_of(ports.reserve({everywhere(8080)}, v4)), "0.0.0.0 8080; ");
        EXPECT_EQ(
            text_of(ports.reserve({everywhere(8081)}, *IpAddress::parse("fd00::2"))), ":: 8081; ");
        EXPECT_EQ(
            text_of(ports.reserve({tcp(8082, 80, "::1")}, v4)),
            "cannot publish port 80/tcp on [::1]:8082: the container has no IPv6 address in this "
            "network");
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
